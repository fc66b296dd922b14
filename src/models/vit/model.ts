import { split, type Tensor } from '../../graph/index.ts';
import { dotProductAttention, type LeftOut, layerNorm, linear, type Params } from '../../nn/index.ts';
import type { VitConfig } from './config.ts';
import { preNormStates } from './layer.ts';
import { embedImage } from './patches.ts';
import { tokenCount } from './vision-config.ts';

function embeddings(p: Params, pixelValues: Tensor, c: VitConfig): Tensor {
  const { hidden_size: width, patch_size: patch } = c;
  const projection = p.at('patch_embedding');
  return embedImage(pixelValues, {
    weight: projection.tensor('weight', [width, c.num_channels, patch, patch]),
    bias: projection.tensor('bias', [width]),
    classToken: p.tensor('class_embedding', [1, 1, width]),
    positions: p.tensor('position_embedding', [1, tokenCount(c), width]),
  });
}

/** Queries, keys and values come from one matrix, in this order. */
function selfAttention(p: Params, x: Tensor, c: VitConfig): Tensor {
  const width = c.hidden_size;
  const qkv = linear(p.at('qkv'), x, 3 * width, { bias: c.qkv_bias });
  const [q, k, v] = split(qkv, { axis: 2, sizes: [width, width, width] });
  const y = dotProductAttention({ q: q!, k: k!, v: v!, heads: c.num_attention_heads });
  return linear(p.at('projection'), y, width);
}

/** pixelValues [B, 3, H, W] -> the hidden states [B, 1 + h·w, D] before the first layer and after each one. */
export function vitHiddenStates(p: Params, pixelValues: Tensor, c: VitConfig, leftOut: LeftOut = {}): Tensor[] {
  const { dropPath, keepTokens = (tokens) => tokens } = leftOut;
  const embedded = keepTokens(embeddings(p.at('embeddings'), pixelValues, c));
  return preNormStates(p, embedded, { config: c, attend: selfAttention, dropPath });
}

/** The LayerNorm over the last states [B, P, D]: what BLIP-2 adds to EVA's ViT, under Hugging Face's name. */
export const vitLnVision = (p: Params, states: Tensor, c: VitConfig): Tensor =>
  layerNorm(p.at('post_layernorm'), states, c.post_layernorm_eps ?? c.layer_norm_eps);

/**
 * BLIP-2's ViT (EVA-CLIP's ViT-g without its last layer): pixelValues [B, 3, H, W] -> [B, 1 + h·w, D], class token
 * first, after the last LayerNorm.
 */
export const vit = (p: Params, pixelValues: Tensor, c: VitConfig): Tensor =>
  vitLnVision(p, vitHiddenStates(p, pixelValues, c).at(-1)!, c);
