import { add, gather, linearProduct, markBlock, type Tensor } from '../../graph/index.ts';
import { activations, embedding, layerNorm, linear, mergeHeads, type Params, splitHeads } from '../../nn/index.ts';
import type { Decoded, DecoderInputs, LayerCache } from '../contracts.ts';
import { attendCached, causalMask, countedPositions, lastOf } from '../decoder/index.ts';
import type { OptConfig } from './config.ts';

/** PyTorch's default, which OPT does not configure. */
const epsilon = 1e-5;
/** The first rows of the position table belong to fairseq's special symbols: padding, at position −1, reads row 1. */
const positionOffset = 2;

const embeddingWidth = (c: OptConfig): number => c.word_embed_proj_dim ?? c.hidden_size;

/** inputIds int64 [B, T] -> [B, T, embedding width]. */
export const embedOpt = (p: Params, inputIds: Tensor, c: OptConfig): Tensor =>
  embedding(p.at('model', 'decoder', 'embed_tokens'), inputIds, { entries: c.vocab_size, width: embeddingWidth(c) });

/** Learned positions int64 [B, T] -> [B, T, D]. */
function embedPositions(p: Params, positionIds: Tensor, c: OptConfig): Tensor {
  const table = p.tensor('weight', [c.max_position_embeddings + positionOffset, c.hidden_size]);
  return gather(table, add(positionIds, positionOffset));
}

interface LayerContext {
  mask: Tensor;
  cache: LayerCache | undefined;
  config: OptConfig;
}

function selfAttention(p: Params, x: Tensor, { mask, cache, config: c }: LayerContext): [Tensor, LayerCache] {
  const project = (name: string) =>
    splitHeads(linear(p.at(name), x, c.hidden_size, { bias: c.enable_bias }), c.num_attention_heads);
  const added: LayerCache = { key: project('k_proj'), value: project('v_proj') };
  const y = attendCached({ q: project('q_proj'), k: added.key, v: added.value, cache, mask });
  return [linear(p.at('out_proj'), mergeHeads(y), c.hidden_size, { bias: c.enable_bias }), added];
}

function feedForward(p: Params, x: Tensor, c: OptConfig): Tensor {
  const inner = linear(p.at('fc1'), x, c.ffn_dim, { bias: c.enable_bias });
  return linear(p.at('fc2'), activations[c.activation_function](inner), c.hidden_size, { bias: c.enable_bias });
}

/** A transformer block; each branch is normalised before it (pre-norm) or after its residual (opt-350m). */
function layer(p: Params, x: Tensor, context: LayerContext): [Tensor, LayerCache] {
  const { do_layer_norm_before: preNorm } = context.config;
  const before = (name: string, y: Tensor) => (preNorm ? layerNorm(p.at(name), y, epsilon) : y);
  const after = (name: string, y: Tensor) => (preNorm ? y : layerNorm(p.at(name), y, epsilon));
  const [attended, added] = selfAttention(p.at('self_attn'), before('self_attn_layer_norm', x), context);
  const h = after('self_attn_layer_norm', add(x, attended));
  const y = feedForward(p, before('final_layer_norm', h), context.config);
  return [after('final_layer_norm', add(h, y)), added];
}

/**
 * OPT (Zhang et al. 2022) over embedded tokens. Positions count what the attention mask keeps, so that padding between
 * the visual prompt and the text does not shift the text.
 */
export function decodeOpt(root: Params, inputs: DecoderInputs, c: OptConfig): Decoded {
  const p = root.at('model', 'decoder');
  const { inputsEmbeds, attentionMask, cache } = inputs;
  const length = inputsEmbeds.shape[1]!;
  const positionIds = inputs.positionIds ?? lastOf(countedPositions(attentionMask), length);
  const mask = causalMask(attentionMask, length, inputsEmbeds.dtype);
  const projected = embeddingWidth(c) !== c.hidden_size;

  const added: LayerCache[] = [];
  let x = projected ? linear(p.at('project_in'), inputsEmbeds, c.hidden_size, { bias: false }) : inputsEmbeds;
  x = add(x, embedPositions(p.at('embed_positions'), positionIds, c)); // [B, T, D]
  for (let i = 0; i < c.num_hidden_layers; i++) {
    const [y, keysAndValues] = layer(p.at('layers', i), x, { mask, cache: cache?.[i], config: c });
    markBlock([x], [y]);
    x = y;
    added.push(keysAndValues);
  }
  if (c.do_layer_norm_before && !c._remove_final_layer_norm) x = layerNorm(p.at('final_layer_norm'), x, epsilon);
  return { hidden: projected ? linear(p.at('project_out'), x, embeddingWidth(c), { bias: false }) : x, cache: added };
}

/** hidden [.., embedding width] -> logits [.., V]; the head is the embedding table unless the checkpoint unties it. */
export function optHead(p: Params, hidden: Tensor, c: OptConfig): Tensor {
  const owner = c.tie_word_embeddings ? p.at('model', 'decoder', 'embed_tokens') : p.at('lm_head');
  return linearProduct(hidden, owner.tensor('weight', [c.vocab_size, embeddingWidth(c)]));
}

/** What a caller has to know about its sizes. */
export const describeOpt = (c: OptConfig) => ({
  width: embeddingWidth(c),
  vocabularySize: c.vocab_size,
  layers: c.num_hidden_layers,
  keyValueHeads: c.num_attention_heads,
  headWidth: c.hidden_size / c.num_attention_heads,
  maxPositions: c.max_position_embeddings,
});
