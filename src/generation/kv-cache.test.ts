import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { floats, int64s, toNumbers, type Value } from '../core/index.ts';
import { KeyValueCache } from './kv-cache.ts';

const sizes = { width: 1, vocabularySize: 1, layers: 2, keyValueHeads: 2, headWidth: 3 };
const names = ['0.key', '0.value', '1.key', '1.value'];

/** New positions of every prompt, each filled with a number of its own. */
function positions(rows: number, length: number, next: () => number): Record<string, Value> {
  const { keyValueHeads, headWidth } = sizes;
  const shape = [rows, keyValueHeads, length, headWidth];
  const fill = () => floats(shape, Float32Array.from({ length: rows * keyValueHeads * length * headWidth }, next));
  return Object.fromEntries(names.map((name) => [`present.${name}`, fill()]));
}

const ones = (rows: number, length: number) => int64s([rows, length], new Array<number>(rows * length).fill(1));

/** [row][line of the mask] -> the entries, of both heads, of the positions that it sees: of the cache, then new ones. */
function seenEntries(feeds: Readonly<Record<string, Value>>, added: Readonly<Record<string, Value>>, name: string) {
  const { keyValueHeads: heads, headWidth: d } = sizes;
  const [prompts, count, width] = feeds.attention_mask!.shape as [number, number, number];
  const mask = toNumbers(feeds.attention_mask!);
  const reader = (v: Value) => {
    const [data, length] = [toNumbers(v), v.shape[2]!];
    const start = (prompt: number, head: number, slot: number) => ((prompt * heads + head) * length + slot) * d;
    return (prompt: number, slot: number) =>
      Array.from({ length: heads }, (_, head) => start(prompt, head, slot)).flatMap((at) => data.slice(at, at + d));
  };
  const [past, fresh] = [reader(feeds[`past.${name}`]!), reader(added[`present.${name}`]!)];
  const capacity = width - count;
  return Array.from({ length: prompts * count }, (_, line) => {
    const prompt = Math.floor(line / count);
    const slots = Array.from({ length: width }, (_, slot) => slot).filter((slot) => mask[line * width + slot] === 1);
    return slots.map((slot) => (slot < capacity ? past(prompt, slot) : fresh(prompt, slot - capacity)));
  });
}

describe('KeyValueCache', () => {
  const parents = fc.array(fc.constantFrom([0, 1, 2, 3], [1, 0, 2, 2], [0, 0, 3, 2], [1, 1, 3, 3]), { maxLength: 12 });

  it('is, for each row, a list of positions that is appended to and exchanged within a prompt', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 70 }), parents, (promptLength, steps) => {
        let counter = 0;
        const next = () => (counter += 1);
        const cache = new KeyValueCache(sizes, 2);
        const prompt = positions(2, promptLength, next);
        const first = seenEntries(cache.textFeeds(ones(2, promptLength)), prompt, '0.key');
        cache.appendText(prompt, ones(2, promptLength));
        cache.branch(2);
        const lastOf = (row: number) => first[(row + 1) * promptLength - 1]!;
        let expected = [lastOf(0), lastOf(0), lastOf(1), lastOf(1)];
        for (const order of steps) {
          cache.reorder(order);
          const added = positions(2, 2, next);
          const fed = seenEntries(cache.stepFeeds(), added, '0.key');
          cache.appendStep(added);
          expected = order.map((parent, row) => [...expected[parent]!, fed[row]!.at(-1)!]);
          expect(fed).toEqual(expected);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('lets a position of a text see what is kept up to itself', () => {
    const cache = new KeyValueCache(sizes, 2);
    const padded = int64s([2, 3], [0, 1, 1, 1, 1, 1]);
    const mask = toNumbers(cache.textFeeds(padded).attention_mask!);
    expect(mask).toEqual([0, 0, 0, 0, 1, 0, 0, 1, 1, 1, 0, 0, 1, 1, 0, 1, 1, 1]);
  });

  it('hides what was padding, what is not written yet, and what other rows have written', () => {
    const cache = new KeyValueCache(sizes, 2);
    cache.appendText(
      positions(2, 3, () => 1),
      int64s([2, 3], [0, 1, 1, 1, 1, 1]),
    );
    cache.branch(2);
    cache.appendStep(positions(2, 2, () => 1));
    const { attention_mask: mask, 'past.0.key': buffer } = cache.stepFeeds();
    const capacity = buffer!.shape[2]!;
    const line = (written: number[], own: number[]) => [...written, ...new Array<number>(capacity - 5).fill(0), ...own];
    expect(mask!.shape).toEqual([2, 2, capacity + 2]);
    expect(toNumbers(mask!)).toEqual([
      ...line([0, 1, 1, 1, 0], [1, 0]),
      ...line([0, 1, 1, 0, 1], [0, 1]),
      ...line([1, 1, 1, 1, 0], [1, 0]),
      ...line([1, 1, 1, 0, 1], [0, 1]),
    ]);
  });
});
