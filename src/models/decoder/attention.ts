import { type Dim, mulDims } from '../../core/index.ts';
import { add, batchedProduct, concat, fixed, mul, reshape, softmax, split, type Tensor } from '../../graph/index.ts';
import type { LayerCache } from '../contracts.ts';

export interface CachedHeads {
  /** [B, H, N, d] */
  q: Tensor;
  /** [B, K, N, d]; H is a multiple of K, and query head h reads key head ⌊h K / H⌋ (grouped-query attention). */
  k: Tensor;
  /** [B, K, N, d] */
  v: Tensor;
  /** Earlier positions, [B, K, P, d]. */
  cache?: LayerCache | undefined;
  /** Additive, broadcast to [B, H, N, P + N]. */
  mask: Tensor;
  /** Of q kᵀ; 1/√d by default. */
  scale?: number | undefined;
}

/**
 * softmax(scale · q [past k]ᵀ + mask) [past v]: [B, H, N, d]. The cache is read where it lies: only the scores of past
 * and new positions are joined, never their keys and values. Query heads that share a key head are rows of one product,
 * so that nothing is repeated either.
 */
export function attendCached({ q, k, v, cache, mask, scale }: CachedHeads): Tensor {
  const [batch, heads, length, d] = q.shape as [Dim, Dim, Dim, Dim];
  const keyHeads = fixed(k.shape[1], 'key heads');
  const grouped = [batch, keyHeads, mulDims(fixed(heads, 'heads') / keyHeads, length)];
  const alpha = scale ?? fixed(d, 'head width') ** -0.5;
  const rows = reshape(q, { shape: [...grouped, d] });
  const keys = cache ? [cache.key, k] : [k];
  const values = cache ? [cache.value, v] : [v];

  // Scaled afterwards: with a factor of its own ONNX Runtime's product of single rows takes twice as long.
  const products = concat(
    keys.map((key) => batchedProduct(rows, key, { transB: true })), // [B, K, H/K · N, P], [.., N]
    { axis: 3 },
  );
  const scores = mul(products, alpha);
  const seen = scores.shape[3]!;
  const weights = softmax(add(reshape(scores, { shape: [batch, heads, length, seen] }), mask), { axis: 3 });
  const parts = split(reshape(weights, { shape: [...grouped, seen] }), {
    axis: 3,
    sizes: keys.map((key) => key.shape[2]!),
  });
  const y = parts.map((part, i) => batchedProduct(part, values[i]!)).reduce((a, b) => add(a, b));
  return reshape(y, { shape: [batch, heads, length, d] });
}
