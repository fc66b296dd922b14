import { add, argMax, mul, numbers, sub, type Tensor } from '../../graph/index.ts';
import { crossEntropy } from '../../nn/index.ts';

/**
 * One negative for each row of similarities [N, B], drawn ∝ exp(hardness · similarity) among `negatives` [N, B]
 * (1 = may be drawn): int64 [N]. The Gumbel noise is an input, so that a step replays exactly; without it the hardest is
 * taken. Hardness 0 draws evenly, 1 is the reference.
 */
export function drawNegative(similarity: Tensor, at: { negatives: Tensor; gumbel: Tensor; hardness: Tensor }): Tensor {
  const score = add(mul(similarity, at.hardness), at.gumbel);
  return argMax(add(score, mul(sub(at.negatives, 1), 10_000)), { axis: 1 });
}

/** Image-text matching (§3.2): logits [3N, 2] of N true pairs, then 2N false ones. No label smoothing. */
export function itmLoss(logits: Tensor, pairs: number): Tensor {
  const labels = Array.from({ length: 3 * pairs }, (_, i) => (i < pairs ? 1 : 0));
  return crossEntropy(logits, numbers(labels, 'int64'));
}
