import { expect, it } from 'vitest';
import { floats, random, toFloat32 } from '../core/index.ts';
import { input } from '../graph/index.ts';
import { compile } from '../runtime/index.ts';
import { normalize, queryCosine } from './retrieval-head.ts';

it.each([[1], [2], [7]])('%i queries are as alike as the mean cosine of two of them says', async (queries) => {
  const [batch, width] = [3, 5];
  const draws = random(queries, 'queries');
  const x = Float32Array.from({ length: batch * queries * width }, () => draws.normal() + 0.5);
  const z = normalize(input('x', 'float32', [batch, queries, width]));
  const session = await compile({ cosine: queryCosine(z) });
  const { cosine } = await session.run({ x: floats([batch, queries, width], x) });
  await session.release();

  const vector = (image: number, query: number) => x.subarray((image * queries + query) * width).subarray(0, width);
  const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, each, i) => sum + each * b[i]!, 0);
  const cosines: number[] = [];
  for (let image = 0; image < batch; image++) {
    for (let i = 0; i < queries; i++) {
      for (let j = 0; j < queries; j++) {
        const [a, b] = [vector(image, i), vector(image, j)];
        if (i !== j || queries === 1) cosines.push(dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)));
      }
    }
  }
  expect(toFloat32(cosine)[0]).toBeCloseTo(cosines.reduce((a, b) => a + b) / cosines.length, 5);
});
