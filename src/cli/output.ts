import { SingleBar } from 'cli-progress';

/**
 * Ends quietly when whoever reads our output has had enough (`blip2 caption … | head -1`), and with a line and 1 where it
 * cannot be written, as on a full disk.
 */
export function watchOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    note(`standard output: cannot be written: ${error.message}`);
    process.exit(1);
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

/**
 * A bar on stderr while `body` works through `total` images, with how many it does in a second; none where stderr is no
 * terminal.
 */
export async function withImageProgress<T>(total: number, body: (advance: () => void) => Promise<T>): Promise<T> {
  const format = '{bar} {value}/{total}, {rate} images/s, {eta_formatted} left';
  const bar = new SingleBar({ format, clearOnComplete: true });
  const start = performance.now();
  let done = 0;
  if (total > 1) bar.start(total, 0, { rate: '-' });
  try {
    return await body(() => {
      done += 1;
      bar.update(done, { rate: ((1000 * done) / (performance.now() - start)).toPrecision(2) });
    });
  } finally {
    bar.stop();
  }
}
