import type { Dim } from '../../core/index.ts';
import { add, concat, expand, gather, slice, split, type Tensor } from '../../graph/index.ts';
import {
  activations,
  attendHeads,
  type Dropout,
  embedding,
  layerNorm,
  linear,
  mergeHeads,
  type Params,
  splitHeads,
} from '../../nn/index.ts';
import type { QFormerConfig } from './config.ts';

/** The hidden states of the two parts of the sequence: queries [B, Q, D] and text [B, T, D]; either may be absent. */
export interface Hidden {
  readonly queries?: Tensor | undefined;
  readonly text?: Tensor | undefined;
}

/** An image's cross-attention keys and values, [B, H, P, d], by layer; undefined where a layer has no cross-attention. */
export type ImageMemory = readonly ({ key: Tensor; value: Tensor } | undefined)[];

/** What a pass depends on besides its inputs. */
export interface QFormerContext {
  readonly config: QFormerConfig;
  /** On hidden states and attention weights, in training. */
  readonly dropout?: Dropout | undefined;
}

const hasCrossAttention = (layer: number, { cross_attention_frequency: every }: QFormerConfig) => layer % every === 0;

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

/** Memories of several batches in one, along the batch axis. */
export const concatMemory = (memories: readonly ImageMemory[]): ImageMemory =>
  memories[0]!.map(
    (first, layer) =>
      first && {
        key: concat(
          memories.map((m) => m[layer]!.key),
          { axis: 0 },
        ),
        value: concat(
          memories.map((m) => m[layer]!.value),
          { axis: 0 },
        ),
      },
  );

/** The learned queries [1, Q, D], repeated for a batch and normalised: they get no position embedding. */
export function embedQueries(p: Params, queryTokens: Tensor, batch: Dim, { config, dropout }: QFormerContext): Tensor {
  const [, queries, width] = queryTokens.shape as [Dim, Dim, Dim];
  const normalised = layerNorm(p.at('layernorm'), queryTokens, config.layer_norm_eps);
  const repeated = expand(normalised, { shape: [batch, queries, width] });
  return dropout ? dropout(repeated) : repeated;
}

/**
 * Word plus position embeddings of inputIds int64 [B, T], normalised; positions start at 0 whatever the queries.
 * `embeddings` is where the tables are: beside the Q-Former in BLIP-2, inside it in InstructBLIP.
 */
export function embedText(
  p: Params,
  inputIds: Tensor,
  { embeddings, config, dropout }: QFormerContext & { embeddings: Params },
): Tensor {
  const width = config.hidden_size;
  const words = embedding(embeddings.at('word_embeddings'), inputIds, { entries: config.vocab_size, width });
  const positions = embeddings.at('position_embeddings').tensor('weight', [config.max_position_embeddings, width]);
  const x = add(words, slice(positions, { axis: 0, end: inputIds.shape[1]! }));
  const normalised = layerNorm(p.at('layernorm'), x, config.layer_norm_eps);
  return dropout ? dropout(normalised) : normalised;
}

/** Residual, then LayerNorm: the post-norm block that BERT and the Q-Former share. */
function addNorm(p: Params, x: Tensor, y: Tensor, { config, dropout }: QFormerContext): Tensor {
  const projected = linear(p.at('dense'), y, config.hidden_size);
  return layerNorm(p.at('LayerNorm'), add(x, dropout ? dropout(projected) : projected), config.layer_norm_eps);
}

function selfAttention(p: Params, x: Tensor, mask: Tensor | undefined, c: QFormerContext): Tensor {
  const { hidden_size: width, num_attention_heads: heads } = c.config;
  const project = (name: string) => splitHeads(linear(p.at('attention', name), x, width), heads);
  const y = attendHeads({ q: project('query'), k: project('key'), v: project('value'), mask, dropout: c.dropout });
  return addNorm(p.at('output'), x, mergeHeads(y), c);
}

function crossAttention(p: Params, x: Tensor, image: { key: Tensor; value: Tensor }, c: QFormerContext): Tensor {
  const { hidden_size: width, num_attention_heads: heads } = c.config;
  const q = splitHeads(linear(p.at('attention', 'query'), x, width), heads);
  const y = attendHeads({ q, k: image.key, v: image.value, dropout: c.dropout });
  return addNorm(p.at('output'), x, mergeHeads(y), c);
}

function feedForward(up: Params, down: Params, x: Tensor, c: QFormerContext): Tensor {
  const { intermediate_size: width, hidden_act: act } = c.config;
  return addNorm(down, x, activations[act](linear(up.at('dense'), x, width)), c);
}

/** Both parts in one sequence, and back. */
function together({ queries, text }: Hidden, f: (x: Tensor) => Tensor): Hidden {
  if (!queries || !text) return queries ? { queries: f(queries) } : { text: f(text!) };
  const sizes = [queries.shape[1]!, text.shape[1]!];
  const [q, t] = split(f(concat([queries, text], { axis: 1 })), { axis: 1, sizes });
  return { queries: q, text: t };
}

/**
 * One Q-Former block (§3.1, figure 2). Self-attention is shared; only the queries see the image; each part keeps a
 * feed-forward network of its own.
 */
function layer(
  p: Params,
  x: Hidden,
  at: { mask?: Tensor | undefined; image?: ImageMemory[number] },
  c: QFormerContext,
): Hidden {
  const attended = together(x, (sequence) => selfAttention(p.at('attention'), sequence, at.mask, c));
  let { queries } = attended;
  if (queries && at.image) queries = crossAttention(p.at('crossattention'), queries, at.image, c);
  return {
    queries: queries && feedForward(p.at('intermediate_query'), p.at('output_query'), queries, c),
    text: attended.text && feedForward(p.at('intermediate'), p.at('output'), attended.text, c),
  };
}

/**
 * The Q-Former over embedded queries and text (§3.1): the last hidden states of both. `mask` is one of ./masks;
 * without it all of a single part is visible. `image` may be left out where there are no queries.
 */
export function qFormer(
  p: Params,
  x: Hidden,
  { mask, image, ...context }: QFormerContext & { mask?: Tensor | undefined; image?: ImageMemory | undefined },
): Hidden {
  let hidden = x;
  for (let i = 0; i < context.config.num_hidden_layers; i++) {
    hidden = layer(p.at('encoder', 'layer', i), hidden, { mask, image: image?.[i] }, context);
  }
  return hidden;
}
