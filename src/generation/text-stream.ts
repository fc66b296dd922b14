import type { WrittenToken } from './sample.ts';
import { cutAtStop } from './stopping.ts';

export interface TextStreamOptions {
  /** The text of ids; special tokens are none of it. */
  readonly decode: (ids: readonly number[]) => string;
  /** The stop strings that the tokens are written under: the text ends before the first one. */
  readonly stop?: readonly string[] | undefined;
}

/**
 * The text of one sequence, in pieces, each as soon as later tokens cannot change it: half a character, white space and
 * what may be the beginning of a stop string wait. White space at its beginning and its end is not part of it.
 */
export async function* streamText(
  tokens: AsyncIterable<Pick<WrittenToken, 'token' | 'finish'>>,
  { decode, stop = [] }: TextStreamOptions,
): AsyncGenerator<string> {
  const ids: number[] = [];
  let shown = 0;
  for await (const { token, finish } of tokens) {
    ids.push(token);
    const text = cutAtStop(decode(ids), stop);
    const certain = finish ? text.trimEnd().length : certainLength(text, stop);
    const from = Math.max(shown, text.length - text.trimStart().length);
    if (certain <= from) continue;
    yield text.slice(from, certain);
    shown = certain;
  }
}

function certainLength(text: string, stop: readonly string[]): number {
  const begun = Math.max(0, ...stop.map((word) => beginningAtEnd(text, word)));
  const known = text.slice(0, text.length - begun);
  return known.replace(/[\uFFFD\s]+$/, '').length; // half a character decodes to U+FFFD
}

/** The length of the longest beginning of `word` that `text` ends with. */
function beginningAtEnd(text: string, word: string): number {
  for (let length = word.length - 1; length > 0; length--) if (text.endsWith(word.slice(0, length))) return length;
  return 0;
}
