import {
  add,
  fixed,
  gather,
  layerNormalization,
  linearProduct,
  mul,
  reciprocal,
  reduceMean,
  sqrt,
  type Tensor,
} from '../graph/index.ts';
import type { Params } from './params.ts';

/** y = x Wᵀ + b over the last axis, W [out, in] as PyTorch stores it. */
export function linear(p: Params, x: Tensor, out: number, { bias = true }: { bias?: boolean } = {}): Tensor {
  const width = fixed(x.shape.at(-1), "a linear layer's input width");
  return linearProduct(x, p.tensor('weight', [out, width]), bias ? p.tensor('bias', [out]) : undefined);
}

/** (x − mean) / √(variance + ε) ⊙ weight + bias over the last axis. */
export function layerNorm(p: Params, x: Tensor, epsilon: number): Tensor {
  const width = fixed(x.shape.at(-1), "a LayerNorm's width");
  return layerNormalization(x, p.tensor('weight', [width]), p.tensor('bias', [width]), { epsilon }).output;
}

/** x / √(mean x² + ε) ⊙ weight over the last axis (T5, Llama): no mean, no bias. */
export function rmsNorm(p: Params, x: Tensor, epsilon: number): Tensor {
  const width = fixed(x.shape.at(-1), "an RMSNorm's width");
  const meanSquare = reduceMean(mul(x, x), { axes: [x.shape.length - 1], keepDims: true });
  return mul(mul(x, reciprocal(sqrt(add(meanSquare, epsilon)))), p.tensor('weight', [width]));
}

/** Rows of the table `p.weight` [entries, width] by ids [...]: [..., width]. */
export const embedding = (p: Params, ids: Tensor, { entries, width }: { entries: number; width: number }): Tensor =>
  gather(p.tensor('weight', [entries, width]), ids);
