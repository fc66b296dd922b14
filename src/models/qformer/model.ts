import type { Dim } from '../../core/index.ts';
import { add, concat, expand, gather, markBlock, slice, split, type Tensor } from '../../graph/index.ts';
import {
  activations,
  attendHeads,
  attendWithWeights,
  type Dropout,
  embedding,
  layerNorm,
  linear,
  mergeHeads,
  type Params,
  splitHeads,
} from '../../nn/index.ts';
import type { LayerCache } from '../contracts.ts';
import type { QFormerConfig } from './config.ts';

/** The hidden states of the two parts of the sequence: queries [B, Q, D] and text [B, T, D]; either may be absent. */
export interface Hidden {
  readonly queries?: Tensor | undefined;
  readonly text?: Tensor | undefined;
}

/** The hidden states after a pass, and what went on in its layers. */
export interface Pass extends Hidden {
  /** The keys and values of its positions, by layer: what later text can see of them. */
  readonly cache: readonly LayerCache[];
  /** By layer; only of layers with cross-attention. */
  readonly crossAttention: readonly CrossAttention[];
  /** By layer: what its feed-forward network adds to the queries [B, Q, D], before the norm. */
  readonly fedForward: readonly Tensor[];
}

/** How the queries see an image in one layer. */
export interface CrossAttention {
  /** What each query asks with: its state [B, Q, D] before the layer's cross-attention. */
  readonly asking: Tensor;
  /** How much each query looks at each image token, [B, H, Q, P]. */
  readonly weights: Tensor;
  /** What this adds to each query's state [B, Q, D], before the norm. */
  readonly added: Tensor;
}

/** An image's cross-attention keys and values, [B, H, P, d], by layer; undefined where a layer has no cross-attention. */
export type ImageMemory = readonly (LayerCache | undefined)[];

/** What a pass depends on besides its inputs. */
export interface QFormerContext {
  readonly config: QFormerConfig;
  /** On hidden states and attention weights, in training. */
  readonly dropout?: Dropout | undefined;
}

const hasCrossAttention = (layer: number, { cross_attention_frequency: every }: QFormerConfig) => layer % every === 0;

/** The layers that see the image. */
export const crossAttentionLayers = (config: QFormerConfig): number[] =>
  [...Array(config.num_hidden_layers).keys()].filter((layer) => hasCrossAttention(layer, config));

/** imageEmbeds [B, P, Dv] as every cross-attention sees them. Computed once an image, whatever is asked about it. */
export function imageMemory(p: Params, imageEmbeds: Tensor, { config }: QFormerContext): ImageMemory {
  const { hidden_size: width, num_attention_heads: heads } = config;
  return Array.from({ length: config.num_hidden_layers }, (_, layer) => {
    if (!hasCrossAttention(layer, config)) return undefined;
    const attention = p.at('encoder', 'layer', layer, 'crossattention', 'attention');
    return {
      key: splitHeads(linear(attention.at('key'), imageEmbeds, width), heads),
      value: splitHeads(linear(attention.at('value'), imageEmbeds, width), heads),
    };
  });
}

/** The memory of other images of the batch: rows int64 [N]. */
export const gatherMemory = (memory: ImageMemory, rows: Tensor): ImageMemory =>
  memory.map((m) => m && { key: gather(m.key, rows), value: gather(m.value, rows) });

/** The learned queries [1, Q, D], repeated for a batch and normalised: they get no position embedding. */
export function embedQueries(p: Params, queryTokens: Tensor, batch: Dim, { config, dropout }: QFormerContext): Tensor {
  const [, queries, width] = queryTokens.shape as [Dim, Dim, Dim];
  const normalised = layerNorm(p.at('layernorm'), queryTokens, config.layer_norm_eps);
  const repeated = expand(normalised, { shape: [batch, queries, width] });
  return dropout ? dropout(repeated) : repeated;
}

/** Where the tables of the text's embeddings are: beside the Q-Former in BLIP-2, inside it in InstructBLIP. */
export interface TextContext extends QFormerContext {
  readonly embeddings: Params;
}

/** Word plus position embeddings of inputIds int64 [B, T], normalised; positions count from 0 whatever the queries. */
export function embedText(p: Params, inputIds: Tensor, c: TextContext): Tensor {
  const positions = slice(positionTable(c), { axis: 0, end: inputIds.shape[1]! });
  return normaliseText(p, add(embedWords(inputIds, c), positions), c);
}

/** inputIds int64 [B, T] -> [B, T, D]. */
export const embedWords = (inputIds: Tensor, { embeddings, config }: TextContext): Tensor =>
  embedding(embeddings.at('word_embeddings'), inputIds, { entries: config.vocab_size, width: config.hidden_size });

/** Word embeddings [B, T, D] at positions int64 [B, T], normalised: {@link embedText} from the middle of a text. */
export const placeWords = (p: Params, words: Tensor, { positionIds, ...c }: TextContext & { positionIds: Tensor }) =>
  normaliseText(p, add(words, gather(positionTable(c), positionIds)), c);

const positionTable = ({ embeddings, config }: TextContext): Tensor =>
  embeddings.at('position_embeddings').tensor('weight', [config.max_position_embeddings, config.hidden_size]);

function normaliseText(p: Params, x: Tensor, { config, dropout }: QFormerContext): Tensor {
  const normalised = layerNorm(p.at('layernorm'), x, config.layer_norm_eps);
  return dropout ? dropout(normalised) : normalised;
}

/** A residual block's new states, and what it added to the old ones. */
interface Block {
  readonly states: Tensor;
  readonly added: Tensor;
}

/** Residual, then LayerNorm: the post-norm block that BERT and the Q-Former share. */
function addNorm(p: Params, x: Tensor, y: Tensor, { config, dropout }: QFormerContext): Block {
  const added = linear(p.at('dense'), y, config.hidden_size);
  const states = layerNorm(p.at('LayerNorm'), add(x, dropout ? dropout(added) : added), config.layer_norm_eps);
  return { states, added };
}

/** What one layer is given besides its input. */
interface LayerContext {
  mask?: Tensor | undefined;
  image?: LayerCache | undefined;
  /** Keys and values of earlier positions, which these see too. */
  past?: LayerCache | undefined;
}

function selfAttention(p: Params, x: Tensor, { mask, past }: LayerContext, c: QFormerContext): [Tensor, LayerCache] {
  const { hidden_size: width, num_attention_heads: heads } = c.config;
  const project = (name: string) => splitHeads(linear(p.at('attention', name), x, width), heads);
  const own: LayerCache = { key: project('key'), value: project('value') };
  const seen = (part: keyof LayerCache) => (past ? concat([past[part], own[part]], { axis: 2 }) : own[part]);
  const y = attendHeads({ q: project('query'), k: seen('key'), v: seen('value'), mask, dropout: c.dropout });
  return [addNorm(p.at('output'), x, mergeHeads(y), c).states, own];
}

function crossAttention(
  p: Params,
  x: Tensor,
  image: LayerCache,
  c: QFormerContext,
): { queries: Tensor } & CrossAttention {
  const { hidden_size: width, num_attention_heads: heads } = c.config;
  const q = splitHeads(linear(p.at('attention', 'query'), x, width), heads);
  const { y, weights } = attendWithWeights({ q, k: image.key, v: image.value, dropout: c.dropout });
  const { states, added } = addNorm(p.at('output'), x, mergeHeads(y), c);
  return { queries: states, asking: x, weights, added };
}

function feedForward(up: Params, down: Params, x: Tensor, c: QFormerContext): Block {
  const { intermediate_size: width, hidden_act: act } = c.config;
  return addNorm(down, x, activations[act](linear(up.at('dense'), x, width)), c);
}

/** Both parts in one sequence, and back. */
function together(
  { queries, text }: Hidden,
  attend: (x: Tensor) => [Tensor, LayerCache],
): { attended: Hidden; own: LayerCache } {
  const parts = [queries, text].filter((part) => part !== undefined);
  const [y, own] = attend(parts.length === 1 ? parts[0]! : concat(parts, { axis: 1 }));
  if (!queries || !text) return { attended: queries ? { queries: y } : { text: y }, own };
  const [q, t] = split(y, { axis: 1, sizes: [queries.shape[1]!, text.shape[1]!] });
  return { attended: { queries: q, text: t }, own };
}

interface LayerPass {
  hidden: Hidden;
  own: LayerCache;
  /** Of the cross-attention, if the layer has one. */
  seen: CrossAttention | undefined;
  /** What the feed-forward network added to the queries, if there are any. */
  fed: Tensor | undefined;
}

/**
 * One Q-Former block (§3.1, figure 2). Self-attention is shared; only the queries see the image; each part keeps a
 * feed-forward network of its own.
 */
function layer(p: Params, x: Hidden, at: LayerContext, c: QFormerContext): LayerPass {
  const { attended, own } = together(x, (sequence) => selfAttention(p.at('attention'), sequence, at, c));
  const seen = attended.queries && at.image && crossAttention(p.at('crossattention'), attended.queries, at.image, c);
  const queries = seen?.queries ?? attended.queries;
  const fed = queries && feedForward(p.at('intermediate_query'), p.at('output_query'), queries, c);
  const text = attended.text && feedForward(p.at('intermediate'), p.at('output'), attended.text, c).states;
  return { hidden: { queries: fed?.states, text }, own, seen, fed: fed?.added };
}

/**
 * The Q-Former over embedded queries and text (§3.1): the last hidden states of both. `mask` is one of ./masks;
 * without it all of a single part is visible. `image` may be left out where there are no queries. `past` is the cache of
 * the positions before these, which the mask's columns begin with.
 */
export function qFormer(
  p: Params,
  x: Hidden,
  {
    mask,
    image,
    past,
    ...context
  }: QFormerContext & { mask?: Tensor; image?: ImageMemory; past?: readonly LayerCache[] },
): Pass {
  let hidden = x;
  const cache: LayerCache[] = [];
  const crossAttention: CrossAttention[] = [];
  const fedForward: Tensor[] = [];
  for (let i = 0; i < context.config.num_hidden_layers; i++) {
    const at: LayerContext = { mask, image: image?.[i], past: past?.[i] };
    const { hidden: next, own, seen, fed } = layer(p.at('encoder', 'layer', i), hidden, at, context);
    markBlock([hidden.queries, hidden.text], [next.queries, next.text]);
    hidden = next;
    cache.push(own);
    if (seen) crossAttention.push(seen);
    if (fed) fedForward.push(fed);
  }
  return { ...hidden, cache, crossAttention, fedForward };
}
