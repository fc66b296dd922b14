import { addAbortSignal, type Readable } from 'node:stream';
import { UsageError } from '../core/index.ts';

const controller = new AbortController();

/** Aborted by Ctrl-C: commands stop at the next whole step, and leave nothing half-written. */
export const interruption: AbortSignal = controller.signal;

/** The first Ctrl-C asks the command to stop; the second leaves at once. */
export function watchInterrupts(): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (interruption.aborted) process.exit(130);
      controller.abort();
    });
  }
}

let isRead = false;

/** What comes on standard input; who waits for it is interrupted as well. Throws UsageError where it was read before. */
export function standardInput(): Readable {
  if (isRead) throw new UsageError('-: standard input can be read once; name a file in place of all but one');
  isRead = true;
  return addAbortSignal(interruption, process.stdin);
}
