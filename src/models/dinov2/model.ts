import { add, concat, markBlock, mul, slice, split, type Tensor } from '../../graph/index.ts';
import {
  activations,
  type DropPath,
  dotProductAttention,
  type LeftOut,
  layerNorm,
  linear,
  type Params,
} from '../../nn/index.ts';
import type { Interpolation } from '../contracts.ts';
import { embedImage, everyImage, tokenCount } from '../vit/index.ts';
import type { Dinov2Config } from './config.ts';

function embeddings(p: Params, pixelValues: Tensor, c: Dinov2Config): Tensor {
  const { hidden_size: width, patch_size: patch } = c;
  // Only masked pre-training reads it, but it is in every checkpoint: asking declares it.
  if (c.use_mask_token) p.tensor('mask_token', [1, width]);
  const projection = p.at('patch_embeddings', 'projection');
  const tables = {
    weight: projection.tensor('weight', [width, c.num_channels, patch, patch]),
    bias: projection.tensor('bias', [width]),
    classToken: p.tensor('cls_token', [1, 1, width]),
    positions: p.tensor('position_embeddings', [1, tokenCount(c), width]),
  };
  const tokens = embedImage(pixelValues, tables, interpolation(c));
  const { num_register_tokens: registers } = c;
  if (registers === 0) return tokens;
  const own = everyImage(p.tensor('register_tokens', [1, registers, width]), tokens);
  return concat([slice(tokens, { axis: 1, end: 1 }), own, slice(tokens, { axis: 1, start: 1 })], { axis: 1 });
}

/** transformers shrinks the position table of models with registers otherwise than that of those without. */
export const interpolation = (c: Dinov2Config): Interpolation => ({ antialias: c.num_register_tokens > 0 });

function selfAttention(p: Params, x: Tensor, c: Dinov2Config): Tensor {
  const project = (name: string) => linear(p.at('attention', name), x, c.hidden_size, { bias: c.qkv_bias });
  const heads = c.num_attention_heads;
  const y = dotProductAttention({ q: project('query'), k: project('key'), v: project('value'), heads });
  return linear(p.at('output', 'dense'), y, c.hidden_size);
}

function feedForward(p: Params, x: Tensor, c: Dinov2Config): Tensor {
  const inner = Math.floor(c.hidden_size * c.mlp_ratio);
  if (c.use_swiglu_ffn) return swiGlu(p, x, { inner, width: c.hidden_size });
  return linear(p.at('fc2'), activations[c.hidden_act](linear(p.at('fc1'), x, inner)), c.hidden_size);
}

/** (silu(x W₁) ⊙ x W₂) W₃, two thirds as wide in multiples of 8 so that three matrices cost what two did (ViT-g). */
function swiGlu(p: Params, x: Tensor, { inner, width }: { inner: number; width: number }): Tensor {
  const gated = Math.ceil(Math.floor((inner * 2) / 3) / 8) * 8;
  const [gate, up] = split(linear(p.at('weights_in'), x, 2 * gated), { axis: 2, sizes: [gated, gated] });
  return linear(p.at('weights_out'), mul(activations.silu(gate!), up!), width);
}

/** A pre-norm block whose two branches have a learned gain per channel (LayerScale, Touvron et al. 2021). */
function layer(p: Params, x: Tensor, c: Dinov2Config, dropPath: DropPath = (branch) => branch): Tensor {
  const scale = (name: string, y: Tensor) => mul(y, p.at(name).tensor('lambda1', [c.hidden_size]));
  const norm = (name: string, y: Tensor) => layerNorm(p.at(name), y, c.layer_norm_eps);
  const h = add(x, dropPath(scale('layer_scale1', selfAttention(p.at('attention'), norm('norm1', x), c))));
  const y = add(h, dropPath(scale('layer_scale2', feedForward(p.at('mlp'), norm('norm2', h), c))));
  markBlock([x], [y]);
  return y;
}

/** pixelValues [B, 3, H, W] -> the hidden states [B, n + h·w, D] before the first layer and after each one. */
export function dinov2HiddenStates(p: Params, pixelValues: Tensor, c: Dinov2Config, leftOut: LeftOut = {}): Tensor[] {
  const { dropPath, keepTokens = (tokens) => tokens } = leftOut;
  const states = [keepTokens(embeddings(p.at('embeddings'), pixelValues, c))];
  for (let i = 0; i < c.num_hidden_layers; i++)
    states.push(layer(p.at('encoder', 'layer', i), states.at(-1)!, c, dropPath));
  return states;
}

/**
 * DINOv2 (Oquab et al. 2023): pixelValues [B, 3, H, W] -> [B, n + h·w, D] after the last LayerNorm: the class token, registers
 * where there are any, and the patches.
 */
export function dinov2(p: Params, pixelValues: Tensor, c: Dinov2Config, leftOut?: LeftOut): Tensor {
  return layerNorm(p.at('layernorm'), dinov2HiddenStates(p, pixelValues, c, leftOut).at(-1)!, c.layer_norm_eps);
}
