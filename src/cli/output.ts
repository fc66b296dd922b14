import { SingleBar } from 'cli-progress';

/** Ends quietly when whoever reads our output has had enough (`blip2 caption … | head -1`). */
export function watchOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
}

/** A line of data. */
const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

/** A line for whoever watches. */
export const note = (line: string): void => {
  process.stderr.write(`blip2: ${line}\n`);
};

/** Prints a record as JSON, or in the words of `human`. */
export const printRecord = <T extends object>(record: T, json: boolean | undefined, human: (record: T) => string) =>
  print(json ? JSON.stringify(record) : human(record));

/** A bar on stderr while `body` works through `total` things; none where stderr is no terminal. */
export async function withProgress<T>(total: number, body: (advance: () => void) => Promise<T>): Promise<T> {
  const bar = new SingleBar({ format: '{bar} {value}/{total}, {eta_formatted} left', clearOnComplete: true });
  if (total > 1) bar.start(total, 0);
  try {
    return await body(() => bar.increment());
  } finally {
    bar.stop();
  }
}
