import type { Value } from '../../core/index.ts';
import type { RawImage } from '../../image/index.ts';

/** What one query looks at: probabilities that sum to 1 with each other. */
export interface Look {
  /** The share of tokens that are no patch. */
  readonly prefix: number;
  /** Row by row. */
  readonly patches: Float32Array;
}

/**
 * Where each query looks in the last layer of `attention` [layers, H, Q, P], which sees the most: the mean of its heads.
 * `prefixTokens` stand before the patches.
 */
export function looks({ shape, data }: Value<'float32'>, prefixTokens: number): Look[] {
  const [, heads, queries, tokens] = shape as [number, number, number, number];
  const layer = data.subarray(-heads * queries * tokens);
  return Array.from({ length: queries }, (_, q) => {
    const mean = new Float32Array(tokens);
    for (let h = 0; h < heads; h++) {
      const start = (h * queries + q) * tokens;
      for (let t = 0; t < tokens; t++) mean[t]! += layer[start + t]! / heads;
    }
    const prefix = mean.subarray(0, prefixTokens).reduce((a, b) => a + b, 0);
    return { prefix, patches: mean.subarray(prefixTokens) };
  });
}

/** The darkest that a shadow gets, of 255. */
const darkest = 216;

/**
 * A shadow over all that is not looked at, to be stretched over the picture: one black pixel a patch, which is clear
 * where the query looks most.
 */
export function shadow({ patches }: Look, { width, height }: { width: number; height: number }): RawImage {
  const most = patches.reduce((a, b) => Math.max(a, b));
  const data = new Uint8Array(patches.length * 4);
  for (const [i, weight] of patches.entries()) data[4 * i + 3] = Math.round(darkest * (1 - weight / most));
  const columns = Math.round(Math.sqrt((patches.length * width) / height));
  return { width: columns, height: patches.length / columns, channels: 4, data };
}
