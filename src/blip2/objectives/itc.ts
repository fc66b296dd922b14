import {
  add,
  div,
  logSoftmax,
  mul,
  reduceMean,
  reduceSum,
  stopGradient,
  sub,
  type Tensor,
  transpose,
} from '../../graph/index.ts';
import { bestQuerySimilarity } from '../retrieval-head.ts';

/** Where the temperature starts. */
export const initialTemperature = 0.07;

export interface ItcInputs {
  /** [B, Q, E] and [B, E], of length 1. */
  readonly zImage: Tensor;
  readonly zText: Tensor;
  /** Learned scalar that divides the similarities. */
  readonly temperature: Tensor;
  /** [B, B]: 1 where image i and text j are a pair: the diagonal, and other captions of the same image if they count. */
  readonly positives: Tensor;
  /** [B, B]: 1 where they are no pair. What is neither, such as pairs that share a caption, is left out. */
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

/**
 * Image-text contrastive learning (§3.2): each image picks its text from the batch, and each text its image. Where there
 * are several right ones, the target is spread evenly over them (as LAVIS fine-tunes for retrieval).
 */
export function itcLoss(
  { zImage, zText, temperature, positives, negatives }: ItcInputs,
  o: ItcOptions,
): { loss: Tensor; similarities: Similarities } {
  const other = o.gatherGradient ? (x: Tensor) => x : stopGradient;
  const imageToText = div(bestQuerySimilarity(zImage, other(zText)), temperature);
  const textToImage = div(swap(bestQuerySimilarity(other(zImage), zText)), temperature);

  const allowed = add(negatives, positives);
  const { labelSmoothing } = o;
  const toText = softCrossEntropy(imageToText, { positives, allowed, labelSmoothing });
  const toImage = softCrossEntropy(textToImage, {
    positives: swap(positives),
    allowed: swap(allowed),
    labelSmoothing,
  });
  return { loss: mul(add(toText, toImage), 0.5), similarities: { imageToText, textToImage } };
}

/**
 * Mean over the rows of scores [B, B] of the cross-entropy with a target that is even over the row's positives; label
 * smoothing gives ε of it to all that is allowed.
 */
function softCrossEntropy(
  scores: Tensor,
  { positives, allowed, labelSmoothing }: { positives: Tensor; allowed: Tensor; labelSmoothing: number },
): Tensor {
  const logProbabilities = logSoftmax(add(scores, mul(sub(allowed, 1), 10_000)), { axis: 1 });
  const target = add(mul(even(positives), 1 - labelSmoothing), mul(even(allowed), labelSmoothing));
  const perRow = reduceSum(mul(target, logProbabilities), { axes: [1], keepDims: false });
  return sub(0, reduceMean(perRow, { axes: [0], keepDims: false }));
}

/** Rows of 0 and 1 [B, B], each divided by its sum. */
const even = (x: Tensor): Tensor => div(x, reduceSum(x, { axes: [1], keepDims: true }));

export const swap = (x: Tensor): Tensor => transpose(x, { perm: [1, 0] });
