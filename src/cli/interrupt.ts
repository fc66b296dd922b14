import { addAbortSignal, type Readable } from 'node:stream';

const controller = new AbortController();

/** Aborted by Ctrl-C: commands stop at the next whole step, and leave nothing half-written. */
export const interruption: AbortSignal = controller.signal;

/** The first signal of a kind asks the command to stop, the second leaves at once. One Ctrl-C may be one of each kind. */
export function watchInterrupts(): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      controller.abort();
      process.on(signal, () => process.exit(130));
    });
  }
}

/** What comes on standard input; who waits for it is interrupted as well. */
export const standardInput = (): Readable => addAbortSignal(interruption, process.stdin);
