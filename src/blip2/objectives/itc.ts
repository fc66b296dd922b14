import { add, div, fixed, mul, numbers, stopGradient, type Tensor, transpose } from '../../graph/index.ts';
import { crossEntropy } from '../../nn/index.ts';
import { bestQuerySimilarity } from '../retrieval-head.ts';

export interface ItcInputs {
  /** [B, Q, E] and [B, E], of length 1. */
  readonly zImage: Tensor;
  readonly zText: Tensor;
  /** Learned scalar that divides the similarities; starts at 0.07. */
  readonly temperature: Tensor;
  /** [B, B]: 1 where image i and text j are no pair; pairs that share a caption or an image are left out. */
  readonly negatives: Tensor;
}

export interface ItcOptions {
  readonly labelSmoothing: number;
  /** Whether the features of the other side carry gradient; LAVIS's gathered ones do not, even on one process. */
  readonly gatherGradient: boolean;
}

/** Similarities over temperature, [B, B]: row i is an image's to all texts, or a text's to all images. */
export interface Similarities {
  readonly imageToText: Tensor;
  readonly textToImage: Tensor;
}

/** Image-text contrastive learning (§3.2): each image picks its text from the batch, and each text its image. */
export function itcLoss(
  { zImage, zText, temperature, negatives }: ItcInputs,
  o: ItcOptions,
): { loss: Tensor; similarities: Similarities } {
  const other = o.gatherGradient ? (x: Tensor) => x : stopGradient;
  const imageToText = div(bestQuerySimilarity(zImage, other(zText)), temperature);
  const textToImage = div(swap(bestQuerySimilarity(other(zImage), zText)), temperature);

  const batch = fixed(zText.shape[0], 'the batch of a training graph');
  const own = numbers([...Array(batch).keys()], 'int64');
  const { labelSmoothing } = o;
  const pick = (s: Tensor, allowed: Tensor) => crossEntropy(s, own, { labelSmoothing, allowed });
  const allowed = add(negatives, identity(batch, negatives.dtype));
  const loss = mul(add(pick(imageToText, allowed), pick(textToImage, swap(allowed))), 0.5);
  return { loss, similarities: { imageToText, textToImage } };
}

export const swap = (x: Tensor): Tensor => transpose(x, { perm: [1, 0] });

const identity = (n: number, dtype: Tensor['dtype']): Tensor =>
  numbers(
    Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0)),
    dtype,
    [n, n],
  );
