import type { ImageEncoder } from '../models/index.ts';
import { blocksOf } from './step-images.ts';

/**
 * Layer-wise learning-rate decay (Bao et al. 2022) as LAVIS has it: block i of L learns at decayᴸ⁻ⁱ of the rate, what
 * comes before the first at decayᴸ⁺¹, all else at the whole rate. A factor by the name of a parameter.
 */
export function layerDecay(encoder: ImageEncoder, decay: number): (parameter: string) => number {
  if (decay === 1) return () => 1;
  const blocks = blocksOf(encoder);
  return (parameter) => {
    const found = /^vision_model\.(?:encoder\.layers?\.(\d+)|embeddings|pre_layrnorm)\./.exec(parameter);
    if (!found) return 1;
    return decay ** (found[1] === undefined ? blocks + 1 : blocks - Number(found[1]));
  };
}
