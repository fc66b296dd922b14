import {
  add,
  cast,
  div,
  equal,
  fixed,
  gatherElements,
  logSoftmax,
  mul,
  not,
  reduceMean,
  reduceSum,
  reshape,
  squeeze,
  sub,
  type Tensor,
  unsqueeze,
  where,
} from '../graph/index.ts';

/** Labels with this value carry no loss. */
export const ignoreIndex = -100;

export interface CrossEntropyOptions {
  /** ε: the target is (1 − ε) on the label and ε spread over the classes (Szegedy et al. 2016). Default 0. */
  labelSmoothing?: number;
  /** [N, C], 1 = a class that may be chosen, 0 = one that the softmax leaves out (never a label). */
  allowed?: Tensor;
}

/**
 * Mean cross-entropy of logits [N, C] against labels int64 [N], over the labels that are not −100: PyTorch's
 * `cross_entropy` with `ignore_index` and `label_smoothing`.
 */
export function crossEntropy(
  logits: Tensor,
  labels: Tensor,
  { labelSmoothing = 0, allowed }: CrossEntropyOptions = {},
): Tensor {
  const { dtype } = logits;
  const masked = allowed ? add(logits, mul(sub(allowed, 1), 10_000)) : logits;
  const logProbabilities = logSoftmax(masked, { axis: 1 }); // [N, C]
  const kept = not(equal(labels, ignoreIndex));
  const index = unsqueeze(where(kept, labels, 0), { axis: 1 });
  const nll = squeeze(sub(0, gatherElements(logProbabilities, index, { axis: 1 })), { axis: 1 }); // [N]
  const perRow = labelSmoothing === 0 ? nll : smoothed(nll, logProbabilities, { labelSmoothing, allowed });
  const weight = cast(kept, { to: dtype });
  return div(sum(mul(perRow, weight)), sum(weight));
}

/** (1 − ε) nll + ε · the mean of −log p over the (allowed) classes. */
function smoothed(
  nll: Tensor,
  logProbabilities: Tensor,
  { labelSmoothing, allowed }: { labelSmoothing: number; allowed: Tensor | undefined },
): Tensor {
  const over = { axes: [1], keepDims: false };
  const mean = allowed
    ? div(reduceSum(mul(logProbabilities, allowed), over), reduceSum(allowed, over))
    : reduceMean(logProbabilities, over);
  return sub(mul(nll, 1 - labelSmoothing), mul(mean, labelSmoothing));
}

/**
 * Cross-entropy of next-token logits [B, T, V] where `labels` [B, T] are already the token after each position
 * (−100: none): mean over the whole batch.
 */
export function tokenCrossEntropy(logits: Tensor, labels: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const [batch, length, vocabulary] = logits.shape.map((d) => fixed(d, "a training graph's dimension"));
  return crossEntropy(
    reshape(logits, { shape: [batch! * length!, vocabulary!] }),
    reshape(labels, { shape: [batch! * length!] }),
    options,
  );
}

const sum = (x: Tensor): Tensor => reduceSum(x, { axes: [...x.shape.keys()], keepDims: false });
