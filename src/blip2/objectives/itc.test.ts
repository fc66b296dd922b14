import fc from 'fast-check';
import { expect, it } from 'vitest';
import { floats, random, toFloat32 } from '../../core/index.ts';
import { input } from '../../graph/index.ts';
import { compile } from '../../runtime/index.ts';
import { itcLoss } from './itc.ts';

const [B, Q, E] = [5, 2, 3];
const square = (f: (i: number, j: number) => number) =>
  floats(
    [B, B],
    Array.from({ length: B * B }, (_, k) => f(Math.floor(k / B), k % B)),
  );

const tensors = {
  zImage: input('zImage', 'float32', [B, Q, E]),
  zText: input('zText', 'float32', [B, E]),
  temperature: input('temperature', 'float32', []),
  positives: input('positives', 'float32', [B, B]),
  negatives: input('negatives', 'float32', [B, B]),
};
const labelSmoothing = 0.1;
const { loss, similarities } = itcLoss(tensors, { labelSmoothing, gatherGradient: true });
const session = await compile({ loss, similarities: similarities.imageToText });

/** lavis/models/blip2_models/blip2_qformer.py with `image_id`: the target is even over the captions of an image. */
function reference(scores: number[][], ids: readonly number[]): number {
  const direction = (at: (i: number, j: number) => number) => {
    const rows = ids.map((id, i) => {
      const logits = ids.map((_, j) => at(i, j));
      const logSum = Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0));
      const same = ids.map((other) => (other === id ? 1 : 0));
      const count = same.reduce<number>((a, b) => a + b, 0);
      return logits.reduce(
        (sum, x, j) => sum - ((1 - labelSmoothing) * (same[j]! / count) + labelSmoothing / B) * (x - logSum),
        0,
      );
    });
    return rows.reduce((a, b) => a + b) / B;
  };
  return (direction((i, j) => scores[i]![j]!) + direction((i, j) => scores[j]![i]!)) / 2;
}

it('spreads the target over the captions of the same image, as the reference does', async () => {
  const ids = fc.array(fc.nat(2), { minLength: B, maxLength: B });
  await fc.assert(
    fc.asyncProperty(ids, fc.nat(), async (ids, seed) => {
      const draws = random(seed, 'z');
      const normal = (n: number) => Array.from({ length: n }, () => draws.normal());
      const result = await session.run({
        zImage: floats([B, Q, E], normal(B * Q * E)),
        zText: floats([B, E], normal(B * E)),
        temperature: floats([], [0.7]),
        positives: square((i, j) => (ids[i] === ids[j] ? 1 : 0)),
        negatives: square((i, j) => (ids[i] === ids[j] ? 0 : 1)),
      });
      const flat = toFloat32(result.similarities);
      const scores = Array.from({ length: B }, (_, i) => [...flat.subarray(i * B, (i + 1) * B)]);
      expect(toFloat32(result.loss)[0]).toBeCloseTo(reference(scores, ids), 4);
    }),
    { numRuns: 20 },
  );
});
