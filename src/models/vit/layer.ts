import { add, markBlock, type Tensor } from '../../graph/index.ts';
import { activations, type DropPath, dotProductAttention, layerNorm, linear, type Params } from '../../nn/index.ts';
import type { VisionConfig } from './vision-config.ts';

/** Self-attention of [B, P, D] under the names that CLIP and SigLIP share. */
export function projectedAttention(p: Params, x: Tensor, c: VisionConfig): Tensor {
  const project = (name: string, from: Tensor) => linear(p.at(name), from, c.hidden_size);
  const heads = c.num_attention_heads;
  const y = dotProductAttention({ q: project('q_proj', x), k: project('k_proj', x), v: project('v_proj', x), heads });
  return project('out_proj', y);
}

/** What blocks are besides their weights. */
interface PreNormLayer<C> {
  config: C;
  /** The family's own self-attention. */
  attend: (p: Params, x: Tensor, c: C) => Tensor;
  dropPath?: DropPath | undefined;
}

/** What `x` [B, P, D] is before the first block and after each one, under the names that EVA, CLIP and SigLIP share. */
export function preNormStates<C extends VisionConfig & { intermediate_size: number }>(
  p: Params,
  x: Tensor,
  blocks: PreNormLayer<C>,
): Tensor[] {
  const states = [x];
  for (let i = 0; i < blocks.config.num_hidden_layers; i++) {
    states.push(preNormLayer(p.at('encoder', 'layers', i), states.at(-1)!, blocks));
  }
  return states;
}

function preNormLayer<C extends VisionConfig & { intermediate_size: number }>(
  p: Params,
  x: Tensor,
  { config: c, attend, dropPath = (branch) => branch }: PreNormLayer<C>,
): Tensor {
  const attended = attend(p.at('self_attn'), layerNorm(p.at('layer_norm1'), x, c.layer_norm_eps), c);
  const h = add(x, dropPath(attended));
  const inner = linear(p.at('mlp', 'fc1'), layerNorm(p.at('layer_norm2'), h, c.layer_norm_eps), c.intermediate_size);
  const y = add(h, dropPath(linear(p.at('mlp', 'fc2'), activations[c.hidden_act](inner), c.hidden_size)));
  markBlock([x], [y]);
  return y;
}
