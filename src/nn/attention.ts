import { add, batchedProduct, fixed, reshape, softmax, type Tensor, transpose } from '../graph/index.ts';
import type { Dropout } from './dropout.ts';

/** [B, N, H·d] -> [B, H, N, d]. */
export function splitHeads(x: Tensor, heads: number): Tensor {
  const [batch, length, width] = x.shape;
  const d = fixed(width, 'the width of attention') / heads;
  return transpose(reshape(x, { shape: [batch!, length!, heads, d] }), { perm: [0, 2, 1, 3] });
}

/** [B, H, N, d] -> [B, N, H·d]. */
export function mergeHeads(x: Tensor): Tensor {
  const [batch, heads, length, d] = x.shape;
  const width = fixed(heads, 'heads') * fixed(d, 'head width');
  return reshape(transpose(x, { perm: [0, 2, 1, 3] }), { shape: [batch!, length!, width] });
}

export interface Heads {
  /** [B, H, N, d] */
  q: Tensor;
  /** [B, H, M, d] */
  k: Tensor;
  /** [B, H, M, d] */
  v: Tensor;
  /** Additive, broadcast to [B, H, N, M]. */
  mask?: Tensor | undefined;
  /** Of q kᵀ; 1/√d by default (T5 has none: 1). */
  scale?: number | undefined;
  /** On the attention weights. */
  dropout?: Dropout | undefined;
}

/** softmax(scale · q kᵀ + mask) v, head by head: [B, H, N, d] (Vaswani et al. 2017, §3.2.1). */
export const attendHeads = (heads: Heads): Tensor => attendWithWeights(heads).y;

/** The same with its softmax, [B, H, N, M]: how much each of the N looks at each of the M, before dropout. */
export function attendWithWeights({ q, k, v, mask, scale, dropout }: Heads): { y: Tensor; weights: Tensor } {
  const alpha = scale ?? fixed(q.shape.at(-1), 'head width') ** -0.5;
  const scores = batchedProduct(q, k, { transB: true, alpha }); // [B, H, N, M]
  const weights = softmax(mask ? add(scores, mask) : scores, { axis: 3 });
  return { y: batchedProduct(dropout ? dropout(weights) : weights, v), weights };
}

/** The same for q [B, N, D] and k, v [B, M, D], cut into heads: [B, N, D]. */
export function dotProductAttention({ heads, ...a }: Heads & { heads: number }): Tensor {
  return mergeHeads(
    attendHeads({ ...a, q: splitHeads(a.q, heads), k: splitHeads(a.k, heads), v: splitHeads(a.v, heads) }),
  );
}
