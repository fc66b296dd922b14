import { add, type Tensor } from '../../graph/index.ts';
import { activations, layerNorm, linear, type Params } from '../../nn/index.ts';
import type { VisionConfig } from './vision-config.ts';

/** A pre-norm block under the names that EVA and CLIP share. `attend` is the family's own self-attention. */
export function preNormLayer<C extends VisionConfig & { intermediate_size: number }>(
  p: Params,
  x: Tensor,
  c: C,
  attend: (p: Params, x: Tensor, c: C) => Tensor,
): Tensor {
  const h = add(x, attend(p.at('self_attn'), layerNorm(p.at('layer_norm1'), x, c.layer_norm_eps), c));
  const inner = linear(p.at('mlp', 'fc1'), layerNorm(p.at('layer_norm2'), h, c.layer_norm_eps), c.intermediate_size);
  return add(h, linear(p.at('mlp', 'fc2'), activations[c.hidden_act](inner), c.hidden_size));
}
