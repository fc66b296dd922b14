/** One line that is written over on a terminal; lines one after another elsewhere, not more than one in five seconds. */
export class StatusLine {
  #last = 0;

  show(text: string): void {
    if (process.stderr.isTTY) {
      process.stderr.write(`\r\u001b[K${text.slice(0, (process.stderr.columns ?? 120) - 1)}`);
    } else if (Date.now() - this.#last > 5000) {
      this.#last = Date.now();
      process.stderr.write(`${text}\n`);
    }
  }

  /** A line that stays. */
  note(text: string): void {
    process.stderr.write(`${process.stderr.isTTY ? '\r\u001b[K' : ''}${text}\n`);
  }

  end(): void {
    if (process.stderr.isTTY) process.stderr.write('\n');
  }
}

/** `40 s`, or `12 min` of what takes longer. */
export const inWords = (seconds: number): string =>
  seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
