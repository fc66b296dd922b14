import { SingleBar } from 'cli-progress';

/** A bar on stderr for each part of something long; none where stderr is no terminal. */
export function partProgress(): {
  show(progress: { part: string; done: number; total: number }): void;
  stop(): void;
} {
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
