import {
  cast,
  div,
  equal,
  expand,
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
  /** [N], how much each row counts in the mean. Default: the same. */
  weights?: Tensor | undefined;
}

/**
 * Mean cross-entropy of logits [N, C] against labels int64 [N], over the labels that are not −100: PyTorch's
 * `cross_entropy` with `ignore_index` and `label_smoothing`.
 */
export function crossEntropy(
  logits: Tensor,
  labels: Tensor,
  { labelSmoothing = 0, weights }: CrossEntropyOptions = {},
): Tensor {
  const { dtype } = logits;
  const logProbabilities = logSoftmax(logits, { axis: 1 }); // [N, C]
  const kept = not(equal(labels, ignoreIndex));
  const index = unsqueeze(where(kept, labels, 0), { axis: 1 });
  const nll = squeeze(sub(0, gatherElements(logProbabilities, index, { axis: 1 })), { axis: 1 }); // [N]
  const perRow = labelSmoothing === 0 ? nll : smoothed(nll, logProbabilities, labelSmoothing);
  const counted = cast(kept, { to: dtype });
  const weight = weights ? mul(counted, weights) : counted;
  return div(sum(mul(perRow, weight)), sum(weight));
}

/** (1 − ε) nll + ε · the mean of −log p over the classes. */
function smoothed(nll: Tensor, logProbabilities: Tensor, labelSmoothing: number): Tensor {
  const mean = reduceMean(logProbabilities, { axes: [1], keepDims: false });
  return sub(mul(nll, 1 - labelSmoothing), mul(mean, labelSmoothing));
}

/**
 * Cross-entropy of next-token logits [B, T, V] where `labels` [B, T] are already the token after each position
 * (−100: none): mean over the whole batch. `weights` [B] are those of whole sequences.
 */
export function tokenCrossEntropy(
  logits: Tensor,
  labels: Tensor,
  { weights, ...options }: CrossEntropyOptions = {},
): Tensor {
  const [batch, length, vocabulary] = logits.shape.map((d) => fixed(d, "a training graph's dimension"));
  const perToken = weights && expand(unsqueeze(weights, { axis: 1 }), { shape: [batch!, length!] });
  return crossEntropy(
    reshape(logits, { shape: [batch! * length!, vocabulary!] }),
    reshape(labels, { shape: [batch! * length!] }),
    { ...options, weights: perToken && reshape(perToken, { shape: [batch! * length!] }) },
  );
}

const sum = (x: Tensor): Tensor => reduceSum(x, { axes: [...x.shape.keys()], keepDims: false });
