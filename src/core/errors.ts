/**
 * What a person reads when something is wrong: one line that says what was expected, what was found, where (the file,
 * the tensor, the field) and what to do. Libraries throw these; the command line maps them to exit codes.
 */
export abstract class Blip2Error extends Error {
  /** A stable word for programs: `shape`, `data`, `usage`, … */
  abstract readonly code: string;
  /** The command line's exit code: 1 for data and models, 2 for usage. */
  readonly exitCode: 1 | 2 = 1;
  override get name(): string {
    return this.constructor.name;
  }
}

/** An operator was called with operands that do not fit; the stack starts at the line that called it. */
export class ShapeError extends Blip2Error {
  readonly code = 'shape';
}

/** A file, a record or an image that cannot be used: the message names it. */
export class DataError extends Blip2Error {
  readonly code = 'data';
}

/** A checkpoint that does not hold what its model declares: missing, unexpected, misshapen or unreadable tensors. */
export class CheckpointError extends Blip2Error {
  readonly code = 'checkpoint';
}

/** A model, tokenizer or recipe configuration with a wrong or unknown field. */
export class ConfigError extends Blip2Error {
  readonly code = 'config';
}

/** A command, option or recipe key that does not exist or does not fit. */
export class UsageError extends Blip2Error {
  readonly code = 'usage';
  override readonly exitCode = 2;
}

/** The runtime refused a graph or failed while it ran; `cause` is what it said. */
export class RuntimeError extends Blip2Error {
  readonly code = 'runtime';
}

/** The network, or the lack of it. */
export class NetworkError extends Blip2Error {
  readonly code = 'network';
}

/** The known word nearest to `word` by edit distance, if one is near enough to be meant: for "did you mean". */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}

/** Names for a message: the first five, where there are many. */
export const firstNames = (names: readonly string[]): string =>
  names.length <= 5 ? names.join(', ') : `${names.slice(0, 5).join(', ')}, …`;
