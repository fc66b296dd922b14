import { blocksOf } from './step-images.ts';

/**
 * Layer-wise learning-rate decay (Bao et al. 2022) as LAVIS has it: block i of L learns at decayᴸ⁻ⁱ of the rate, what
 * comes before the first at decayᴸ⁺¹, the LayerNorm after the last at the whole rate. As factors by pattern, which
 * `run.lr_scales` are. `names` are those of the image encoder's weights, from its root.
 */
export function layerDecay(names: Iterable<string>, decay: number): Record<string, number> {
  if (decay === 1) return {};
  const blocks = blocksOf(names);
  const factors = Array.from({ length: blocks }, (_, i) => [
    `^vision_model\\.encoder\\.layers?\\.${i}\\.`,
    decay ** (blocks - i),
  ]);
  return { '^vision_model\\.(embeddings|pre_layrnorm)\\.': decay ** (blocks + 1), ...Object.fromEntries(factors) };
}
