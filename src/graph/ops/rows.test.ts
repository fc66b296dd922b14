import { expect, it } from 'vitest';
import { elements, floats, int64s } from '../../core/index.ts';
import { compile } from '../../runtime/index.ts';
import { input, scatterAdd } from '../index.ts';

it.each([
  ['a large table', 20_000],
  ['a small one', 3],
])('scatterAdd loses nothing where threads add to the same rows of %s', async (_, entries) => {
  const shape = [1023, 256];
  const [count, width] = shape as [number, number];
  const y = scatterAdd([entries, width], input('indices', 'int64', [count]), input('rows', 'float32', shape));
  const session = await compile({ y }, undefined, { threads: 2 });
  const indices = Array.from({ length: count }, (_, i) => i % 3);
  const rows = floats(shape, new Float32Array(elements(shape)).fill(1));
  for (let run = 0; run < 10; run++) {
    const { y } = await session.run({ indices: int64s([count], indices), rows });
    const sums = [0, 1, 2].map((entry) => (y.data as Float32Array).subarray(entry * width, (entry + 1) * width));
    expect(sums.map((s) => [Math.min(...s), Math.max(...s)])).toEqual([
      [341, 341],
      [341, 341],
      [341, 341],
    ]);
  }
  await session.release();
});
