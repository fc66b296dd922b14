import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutAtStop, streamText } from './index.ts';

/** Tokens are bytes of UTF-8, so that most characters need several. */
const decode = (ids: readonly number[]) => new TextDecoder().decode(Uint8Array.from(ids));

async function* bytesOf(text: string) {
  const bytes = [...new TextEncoder().encode(text)];
  for (const [i, token] of bytes.entries()) {
    yield { token, finish: i === bytes.length - 1 ? ('length' as const) : undefined };
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

  it('holds back no more than it has to', async () => {
    const pieces = await collect(streamText(bytesOf('one é <b>'), { decode, stop: ['<br>'] }));
    expect(pieces).toEqual(['o', 'n', 'e', ' é', ' <b>']);
  });
});
