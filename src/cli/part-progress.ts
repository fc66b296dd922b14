import { SingleBar } from 'cli-progress';

export interface PartProgress {
  show(progress: { readonly part: string; readonly done: number; readonly total: number }): void;
  stop(): void;
}

/** A bar on stderr for each part of something long; none where stderr is no terminal. */
export function partProgress(): PartProgress {
  const bar = new SingleBar({ format: '{part} {bar} {value}/{total}, {eta_formatted} left', clearOnComplete: true });
  let shown: string | undefined;
  return {
    show({ part, done, total }) {
      if (part !== shown) bar.start(total, 0, { part });
      shown = part;
      bar.update(done);
      if (done === total) bar.stop();
    },
    stop: () => bar.stop(),
  };
}

/** The same while `body` works. */
export async function withPartProgress<T>(body: (show: PartProgress['show']) => Promise<T>): Promise<T> {
  const progress = partProgress();
  try {
    return await body(progress.show);
  } finally {
    progress.stop();
  }
}
