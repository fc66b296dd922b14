import {
  add,
  gather,
  greater,
  less,
  numbers,
  sub,
  type Tensor,
  transpose,
  unsqueeze,
  where,
} from '../../graph/index.ts';
import type { Params } from '../../nn/index.ts';
import type { T5Config } from './config.ts';

export interface BiasOptions {
  /** Positions int64 [B or 1, N]. */
  queries: Tensor;
  /** Positions int64 [B or 1, M], or [B, N, M] where each query counts for itself. */
  keys: Tensor;
  /** Whether keys after the query have buckets of their own, as in the encoder. */
  bidirectional: boolean;
  config: T5Config;
}

/**
 * What attention scores gain by the distance of key and query, [B or 1, H, N, M] (Raffel et al. 2020, §2.1): one learned
 * number a head for every bucket of distances. Near distances have a bucket each, farther ones share them by their
 * logarithm, and all beyond `relative_attention_max_distance` are the same.
 */
export function relativeBias(p: Params, { queries, keys, bidirectional, config: c }: BiasOptions): Tensor {
  const far = c.relative_attention_max_distance;
  const distances = Array.from({ length: 2 * far + 1 }, (_, i) => i - far);
  const buckets = numbers(
    distances.map((distance) => bucketOf(distance, bidirectional, c)),
    'int64',
  );
  const forEach = keys.shape.length === 3 ? keys : unsqueeze(keys, { axis: 1 });
  const distance = sub(forEach, unsqueeze(queries, { axis: 2 })); // [B, N, M]
  const bucket = gather(buckets, add(clamp(distance, far), far));
  const table = p.tensor('weight', [c.relative_attention_num_buckets, c.num_heads]);
  return transpose(gather(table, bucket), { perm: [0, 3, 1, 2] });
}

/** x limited to [−limit, limit]. */
function clamp(x: Tensor, limit: number): Tensor {
  const atMost = where(greater(x, limit), numbers(limit, x.dtype), x);
  return where(less(atMost, -limit), numbers(-limit, x.dtype), atMost);
}

/** The bucket of a distance key − query; in float32, whose rounding decides at the borders of buckets. */
function bucketOf(distance: number, bidirectional: boolean, c: T5Config): number {
  const count = bidirectional ? Math.floor(c.relative_attention_num_buckets / 2) : c.relative_attention_num_buckets;
  const first = bidirectional && distance > 0 ? count : 0;
  const size = bidirectional ? Math.abs(distance) : Math.max(0, -distance);
  const exact = Math.floor(count / 2);
  if (size < exact) return first + size;
  const { fround } = Math;
  const logarithm = fround(Math.log(fround(size / exact)));
  const share = fround(logarithm / fround(Math.log(c.relative_attention_max_distance / exact)));
  return first + Math.min(count - 1, exact + Math.floor(fround(share * (count - exact))));
}
