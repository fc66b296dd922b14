import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bertFiles, Tokenizer } from '../text/index.ts';
import { cutAtStop, streamText } from './index.ts';

/** Tokens are bytes of UTF-8, so that most characters need several. */
const decode = (ids: readonly number[]) => new TextDecoder().decode(Uint8Array.from(ids));

const bytesOf = (text: string) => endingWith([...new TextEncoder().encode(text)]);

async function* endingWith(tokens: readonly number[]) {
  for (const [i, token] of tokens.entries()) {
    yield { token, finish: i === tokens.length - 1 ? ('length' as const) : undefined };
  }
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe('streamText', () => {
  it('gives, in pieces of whole characters, the text before the first stop string', async () => {
    const word = fc.constantFrom('a', 'ab', '</s', '>', '\n', ' ', '\n\n', 'é', '🦜', '</s>', '日本');
    const text = fc.array(word, { minLength: 1, maxLength: 12 }).map((words) => words.join(''));
    const stop = fc.subarray(['</s>', '\n\n', 'aba', 'ba', ' a', 'é ']);
    await fc.assert(
      fc.asyncProperty(text, stop, async (whole, strings) => {
        const pieces = await collect(streamText(bytesOf(whole), { decode, stop: strings }));
        expect(pieces.join('')).toBe(cutAtStop(whole, strings).trim());
        for (const piece of pieces) expect(piece).not.toMatch(/\uFFFD|^$/);
      }),
    );
  });

  it('takes back nothing where gaps are closed, of apostrophes too', async () => {
    const pieces = [
      '[PAD]',
      '[UNK]',
      '[CLS]',
      '[SEP]',
      '[MASK]',
      'a',
      'dogs',
      'hat',
      '##s',
      "'",
      's',
      'n',
      't',
      '.',
      '!',
    ];
    const { tokenizer } = bertFiles(pieces);
    const cleaning = Tokenizer.fromJson(tokenizer, { clean_up_tokenization_spaces: true });
    const written = async (ids: readonly number[]) => {
      const options = { decode: (some: readonly number[]) => cleaning.decode(some), cleanUp: cleaning.cleanUp };
      return (await collect(streamText(endingWith(ids), options))).join('');
    };
    const ids = "a dogs ' s hat".split(' ').map((piece) => cleaning.id(piece)!);
    expect(await written(ids)).toBe("a dogs's hat");
    const some = fc.array(fc.integer({ min: 5, max: pieces.length - 1 }), { minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(some, async (each) => {
        expect(await written(each)).toBe(cleaning.decode(each).trim());
      }),
      { numRuns: 500 },
    );
  });

  it('holds back no more than it has to', async () => {
    const pieces = await collect(streamText(bytesOf('one é <b>'), { decode, stop: ['<br>'] }));
    expect(pieces).toEqual(['o', 'n', 'e', ' é', ' <b>']);
  });
});
