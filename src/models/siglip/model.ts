import { fixed, slice, type Tensor } from '../../graph/index.ts';
import { type LeftOut, layerNorm, type Params } from '../../nn/index.ts';
import { embedImage, preNormStates, projectedAttention } from '../vit/index.ts';
import type { SiglipConfig } from './config.ts';

function embeddings(p: Params, pixelValues: Tensor, c: SiglipConfig): Tensor {
  const { hidden_size: width, patch_size: patch } = c;
  const convolution = p.at('patch_embedding');
  const places = Math.floor(c.image_size / patch) ** 2;
  return embedImage(cutToPatches(pixelValues, patch), {
    weight: convolution.tensor('weight', [width, c.num_channels, patch, patch]),
    bias: convolution.tensor('bias', [width]),
    positions: p.at('position_embedding').tensor('weight', [places, width]),
  });
}

/** What the last patches do not cover is not seen. */
function cutToPatches(pixelValues: Tensor, patch: number): Tensor {
  return [2, 3].reduce((pixels, axis) => {
    const side = fixed(pixels.shape[axis], "an image's side");
    return side % patch === 0 ? pixels : slice(pixels, { axis, end: side - (side % patch) });
  }, pixelValues);
}

/**
 * The ViT of SigLIP (Zhai et al. 2023), and of SigLIP 2 for images of one size: pixelValues [B, 3, H, W] -> [B, h·w, D], the
 * patches after the last LayerNorm. There is no class token; the head that pools them is not read.
 */
export function siglip(p: Params, pixelValues: Tensor, c: SiglipConfig, leftOut: LeftOut = {}): Tensor {
  const { dropPath, keepTokens = (tokens) => tokens } = leftOut;
  const embedded = keepTokens(embeddings(p.at('embeddings'), pixelValues, c));
  const states = preNormStates(p, embedded, { config: c, attend: projectedAttention, dropPath });
  return layerNorm(p.at('post_layernorm'), states.at(-1)!, c.layer_norm_eps);
}
