import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { floats, int64s, toNumbers, type Value } from '../core/index.ts';
import { KeyValueCache } from './kv-cache.ts';

const sizes = { width: 1, vocabularySize: 1, layers: 2, keyValueHeads: 2, headWidth: 3 };
const names = ['0.key', '0.value', '1.key', '1.value'];

/** New positions of every row, each filled with a number of its own. */
function positions(rows: number, length: number, next: () => number): Record<string, Value> {
  const { keyValueHeads, headWidth } = sizes;
  const shape = [rows, keyValueHeads, length, headWidth];
  const fill = () => floats(shape, Float32Array.from({ length: rows * keyValueHeads * length * headWidth }, next));
  return Object.fromEntries(names.map((name) => [`present.${name}`, fill()]));
}

const ones = (rows: number, length: number) => int64s([rows, length], new Array<number>(rows * length).fill(1));

/** [row][position] -> the entries of both heads. */
function byPosition(v: Value, length: number): number[][][] {
  const [rows, heads, capacity, d] = v.shape as [number, number, number, number];
  const data = toNumbers(v);
  const at = (row: number, head: number, position: number) => ((row * heads + head) * capacity + position) * d;
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length }, (_, position) =>
      Array.from({ length: heads }, (_, head) =>
        data.slice(at(row, head, position), at(row, head, position) + d),
      ).flat(),
    ),
  );
}

describe('KeyValueCache', () => {
  const parents = fc.array(fc.constantFrom([0, 1, 2, 3], [1, 0, 2, 2], [0, 0, 3, 2], [1, 1, 3, 3]), { maxLength: 6 });

  it('is lists of positions that are appended to and exchanged within a prompt', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 70 }), parents, (promptLength, steps) => {
        let counter = 0;
        const next = () => (counter += 1);
        const cache = new KeyValueCache(sizes, 2);
        const prompt = positions(2, promptLength, next);
        cache.append(prompt, ones(2, promptLength));
        cache.repeat(2);
        let expected = names.map((name) =>
          byPosition(prompt[`present.${name}`]!, promptLength).flatMap((row) => [row, row]),
        );
        for (const order of steps) {
          cache.reorder(order);
          const added = positions(4, 1, next);
          cache.append(added, ones(4, 1));
          expected = names.map((name, i) => {
            const rows = byPosition(added[`present.${name}`]!, 1);
            return order.map((parent, row) => [...expected[i]![parent]!, ...rows[row]!]);
          });
        }
        const length = promptLength + steps.length;
        const feeds = cache.feeds(ones(4, 1));
        expect(names.map((name) => byPosition(feeds[`past.${name}`]!, length))).toEqual(expected);
      }),
    );
  });

  it('masks what was padding and what is not written yet', () => {
    const cache = new KeyValueCache(sizes, 2);
    cache.append(
      positions(2, 3, () => 1),
      int64s([2, 3], [0, 1, 1, 1, 1, 1]),
    );
    cache.repeat(2);
    const mask = cache.feeds(ones(4, 1)).attention_mask!;
    const capacity = mask.shape[1]! - 1;
    expect(cache.feeds(ones(4, 1))['past.0.key']!.shape[2]).toBe(capacity);
    const row = (prompt: number[]) => [...prompt, ...new Array<number>(capacity - 3).fill(0), 1];
    expect(toNumbers(mask)).toEqual(
      [
        [0, 1, 1],
        [0, 1, 1],
        [1, 1, 1],
        [1, 1, 1],
      ].flatMap(row),
    );
  });
});
