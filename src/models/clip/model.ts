import type { Tensor } from '../../graph/index.ts';
import { type LeftOut, layerNorm, type Params } from '../../nn/index.ts';
import { embedImage, preNormStates, projectedAttention, tokenCount } from '../vit/index.ts';
import type { ClipConfig } from './config.ts';

function embeddings(p: Params, pixelValues: Tensor, c: ClipConfig): Tensor {
  const { hidden_size: width, patch_size: patch } = c;
  const tables = {
    weight: p.at('patch_embedding').tensor('weight', [width, c.num_channels, patch, patch]), // it has no bias
    classToken: p.tensor('class_embedding', [width]),
    positions: p.at('position_embedding').tensor('weight', [tokenCount(c), width]),
  };
  return embedImage(pixelValues, tables, { alignCorners: c.position_align_corners });
}

/** pixelValues [B, 3, H, W] -> the hidden states [B, 1 + h·w, D] before the first layer and after each one. */
export function clipHiddenStates(p: Params, pixelValues: Tensor, c: ClipConfig, leftOut: LeftOut = {}): Tensor[] {
  const { dropPath, keepTokens = (tokens) => tokens } = leftOut;
  const embedded = keepTokens(embeddings(p.at('embeddings'), pixelValues, c));
  const x = layerNorm(p.at('pre_layrnorm'), embedded, c.layer_norm_eps); // OpenAI's spelling
  return preNormStates(p, x, { config: c, attend: projectedAttention, dropPath });
}

/** Of LAVIS's `ln_vision`, whatever CLIP's own LayerNorms have. */
const LN_VISION_EPS = 1e-5;

/**
 * CLIP's ViT (Radford et al. 2021) as far as BLIP-2 reads it: to the last layer but one (`vision_feature_layer`;
 * lavis/models/clip_vit.py). pixelValues [B, 3, H, W] -> [B, 1 + h·w, D], class token first.
 */
export function clipFeatures(p: Params, pixelValues: Tensor, c: ClipConfig, leftOut?: LeftOut): Tensor {
  const states = clipHiddenStates(p, pixelValues, c, leftOut);
  const features = states.at(c.vision_feature_layer)!;
  // A whole CLIP ends in a LayerNorm for its pooled token. Nothing here reads it: asking declares it.
  if (features !== states.at(-1)) layerNorm(p.at('post_layernorm'), states.at(-1)!, c.layer_norm_eps);
  return features;
}

/** The LayerNorm over every token [B, P, D] that belongs to BLIP-2 and not to CLIP. */
export const clipLnVision = (p: Params, states: Tensor): Tensor => layerNorm(p.at('ln_vision'), states, LN_VISION_EPS);

/** CLIP's ViT as the Q-Former attends to it: pixelValues [B, 3, H, W] -> [B, 1 + h·w, D]. */
export const clip = (p: Params, pixelValues: Tensor, c: ClipConfig): Tensor =>
  clipLnVision(p, clipFeatures(p, pixelValues, c));
