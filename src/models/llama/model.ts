import { add, linearProduct, markBlock, mul, type Tensor } from '../../graph/index.ts';
import { activations, embedding, linear, mergeHeads, type Params, rmsNorm, splitHeads } from '../../nn/index.ts';
import type { Decoded, DecoderInputs, LayerCache } from '../contracts.ts';
import { attendCached, causalMask, plainPositions } from '../decoder/index.ts';
import type { LlamaConfig } from './config.ts';
import { type Rotation, rotate, rotation } from './rotary.ts';

/** inputIds int64 [B, T] -> [B, T, D]. */
export const embedLlama = (p: Params, inputIds: Tensor, c: LlamaConfig): Tensor =>
  embedding(p.at('model', 'embed_tokens'), inputIds, { entries: c.vocab_size, width: c.hidden_size });

interface LayerContext {
  mask: Tensor;
  rotation: Rotation;
  cache: LayerCache | undefined;
  config: LlamaConfig;
}

function selfAttention(p: Params, x: Tensor, context: LayerContext): [Tensor, LayerCache] {
  const { config: c, mask, cache } = context;
  const project = (name: string, heads: number) =>
    splitHeads(linear(p.at(name), x, heads * c.head_dim, { bias: c.qkv_bias }), heads);
  const norm = (name: string, y: Tensor) => (c.query_key_norm ? rmsNorm(p.at(name), y, c.rms_norm_eps) : y);
  const q = rotate(norm('q_norm', project('q_proj', c.num_attention_heads)), context.rotation); // [B, H, T, d]
  const k = rotate(norm('k_norm', project('k_proj', c.num_key_value_heads)), context.rotation); // [B, K, T, d]
  const v = project('v_proj', c.num_key_value_heads);
  const y = mergeHeads(attendCached({ q, k, v, cache, mask }));
  return [linear(p.at('o_proj'), y, c.hidden_size, { bias: c.output_bias }), { key: k, value: v }];
}

/** (act(x W_gate) ⊙ x W_up) W_down: SwiGLU (Shazeer 2020) where the activation is SiLU. */
function feedForward(p: Params, x: Tensor, c: LlamaConfig): Tensor {
  const project = (name: string) => linear(p.at(name), x, c.intermediate_size, { bias: c.mlp_bias });
  const gated = mul(activations[c.hidden_act](project('gate_proj')), project('up_proj'));
  return linear(p.at('down_proj'), gated, c.hidden_size, { bias: c.mlp_bias });
}

function layer(p: Params, x: Tensor, context: LayerContext): [Tensor, LayerCache] {
  const { config: c } = context;
  const norm = (name: string, y: Tensor) => rmsNorm(p.at(name), y, c.rms_norm_eps);
  const [attended, added] = selfAttention(p.at('self_attn'), norm('input_layernorm', x), context);
  const h = add(x, attended);
  return [add(h, feedForward(p.at('mlp'), norm('post_attention_layernorm', h), c)), added];
}

/**
 * Llama (Touvron et al. 2023) over embedded tokens. Without `positionIds` positions are 0 … T − 1, padding counted, as
 * in the reference's plain forward; its generation counts only what the mask keeps.
 */
export function decodeLlama(root: Params, inputs: DecoderInputs, c: LlamaConfig): Decoded {
  const p = root.at('model');
  const { inputsEmbeds, attentionMask, cache } = inputs;
  const length = inputsEmbeds.shape[1]!;
  const context = {
    mask: causalMask(attentionMask, length, inputsEmbeds.dtype),
    rotation: rotation(inputs.positionIds ?? plainPositions(length), c, inputsEmbeds.dtype),
    config: c,
  };
  const added: LayerCache[] = [];
  let x = inputsEmbeds;
  for (let i = 0; i < c.num_hidden_layers; i++) {
    const [y, keysAndValues] = layer(p.at('layers', i), x, { ...context, cache: cache?.[i] });
    markBlock([x], [y]);
    x = y;
    added.push(keysAndValues);
  }
  return { hidden: rmsNorm(p.at('norm'), x, c.rms_norm_eps), cache: added };
}

/** hidden [.., D] -> logits [.., V]. */
export function llamaHead(p: Params, hidden: Tensor, c: LlamaConfig): Tensor {
  const owner = c.tie_word_embeddings ? p.at('model', 'embed_tokens') : p.at('lm_head');
  return linearProduct(hidden, owner.tensor('weight', [c.vocab_size, c.hidden_size]));
}

/** What a caller has to know about its sizes. */
export const describeLlama = (c: LlamaConfig) => ({
  width: c.hidden_size,
  vocabularySize: c.vocab_size,
  layers: c.num_hidden_layers,
  keyValueHeads: c.num_key_value_heads,
  headWidth: c.head_dim,
  maxPositions: c.max_position_embeddings,
});
