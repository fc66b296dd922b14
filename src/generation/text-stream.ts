import type { WrittenToken } from './sample.ts';
import { cutAtStop } from './stopping.ts';

export interface TextStreamOptions {
  /** The text of ids; special tokens are none of it. */
  readonly decode: (ids: readonly number[]) => string;
  /** The stop strings that the tokens are written under: the text ends before the first one. */
  readonly stop?: readonly string[] | undefined;
  /** Whether `decode` closes gaps before punctuation and contractions, as a tokenizer's clean-up does. */
  readonly cleanUp?: boolean | undefined;
}

/**
 * The text of one sequence, in pieces, each as soon as later tokens cannot change it: half a character, white space and
 * what may be the beginning of a stop string wait, and the last two words where the next may be joined to them (`cleanUp`).
 * White space at its beginning and its end is not part of it.
 */
export async function* streamText(
  tokens: AsyncIterable<Pick<WrittenToken, 'token' | 'finish'>>,
  { decode, stop = [], cleanUp = false }: TextStreamOptions,
): AsyncGenerator<string> {
  const ids: number[] = [];
  let shown = 0;
  for await (const { token, finish } of tokens) {
    ids.push(token);
    const text = cutAtStop(decode(ids), stop);
    const certain = finish ? text.trimEnd().length : certainLength(text, stop, cleanUp);
    const from = Math.max(shown, text.length - text.trimStart().length);
    if (certain <= from) continue;
    yield text.slice(from, certain);
    shown = certain;
  }
}

function certainLength(text: string, stop: readonly string[], cleanUp: boolean): number {
  const begun = Math.max(0, ...stop.map((word) => beginningAtEnd(text, word)));
  const known = text.slice(0, text.length - begun);
  const whole = known.replace(/[\uFFFD\s]+$/, ''); // half a character decodes to U+FFFD
  return (cleanUp ? whole.replace(/\s*\S+(\s+\S+)?$/, '') : whole).length; // `a n '` may still become `an't`
}

/** The length of the longest beginning of `word` that `text` ends with. */
function beginningAtEnd(text: string, word: string): number {
  for (let length = word.length - 1; length > 0; length--) if (text.endsWith(word.slice(0, length))) return length;
  return 0;
}
