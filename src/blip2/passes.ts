import type { Tensor } from '../graph/index.ts';
import {
  bidirectional,
  embedQueries,
  embedText,
  grid,
  type ImageMemory,
  type Pass,
  type QFormerContext,
  qFormer,
  textVisibility,
} from '../models/index.ts';
import type { Dropout, Params } from '../nn/index.ts';
import type { Blip2Config } from './config.ts';

/** The passes of the Q-Former that models are used by, each one of stage 1's masks (§3.2) on what it is given. */

/** Tokenised texts: int64 [B, T] both; 1 = keep, 0 = padding on the right. */
export interface Text {
  readonly inputIds: Tensor;
  readonly attentionMask: Tensor;
}

const contextOf = ({ qformer_config: config }: Blip2Config, dropout?: Dropout): QFormerContext => ({ config, dropout });

/** The learned queries, [1, Q, D]. */
export const queryTokens = (p: Params, c: Blip2Config): Tensor =>
  p.tensor('query_tokens', [1, c.num_query_tokens, c.qformer_config.hidden_size]);

/** A pass that has queries: their states [B, Q, D] before and after it, and what went on in its layers. */
export type QueryPass = Pass & { readonly embedded: Tensor; readonly queries: Tensor };

/** The queries on an image alone. */
export function readImage(p: Params, image: ImageMemory, c: Blip2Config, dropout?: Dropout): QueryPass {
  const context = contextOf(c, dropout);
  const root = p.at('qformer');
  const batch = image[0]!.key.shape[0]!;
  const embedded = embedQueries(root, queryTokens(p, c), batch, context);
  const pass = qFormer(root, { queries: embedded }, { ...context, image });
  return { ...pass, embedded, queries: pass.queries! };
}

/** Text alone, as ITC sees it: its states [B, T, D]. */
export function readText(p: Params, { inputIds, attentionMask }: Text, c: Blip2Config): Tensor {
  const context = contextOf(c);
  const root = p.at('qformer');
  const [batch, length] = inputIds.shape;
  const { padding } = textVisibility(attentionMask, p.dtype);
  const mask = grid(batch!, [{ length: length! }], [[padding]], p.dtype);
  const text = embedText(root, inputIds, { ...context, embeddings: p.at('embeddings') });
  return qFormer(root, { text }, { ...context, mask }).text!;
}

/** The queries on pairs of an image and a text that see each other, as in ITM: their states [B, Q, D]. */
export const readPair = (p: Params, pair: Text & { image: ImageMemory }, c: Blip2Config): Tensor =>
  seeingText(p, pair, {
    ...contextOf(c),
    embeddings: p.at('embeddings'),
    norm: p.at('qformer'),
    queries: c.num_query_tokens,
  }).queries;

/** The same for an instruction or a question: InstructBLIP keeps embeddings and their norm inside the Q-Former. */
export const readConditioned = (
  p: Params,
  pair: Text & { image: ImageMemory },
  c: Blip2Config,
  dropout?: Dropout,
): QueryPass =>
  seeingText(p, pair, {
    ...contextOf(c, dropout),
    embeddings: p.at('qformer', 'embeddings'),
    norm: p.at('qformer', 'embeddings'),
    queries: c.num_query_tokens,
  });

function seeingText(
  p: Params,
  { image, inputIds, attentionMask }: Text & { image: ImageMemory },
  { embeddings, norm, queries, ...context }: QFormerContext & { embeddings: Params; norm: Params; queries: number },
): QueryPass {
  const tokens = p.tensor('query_tokens', [1, queries, context.config.hidden_size]);
  const parts = {
    queries: embedQueries(norm, tokens, inputIds.shape[0]!, context),
    text: embedText(norm, inputIds, { ...context, embeddings }),
  };
  const mask = bidirectional({ queries, text: textVisibility(attentionMask, p.dtype) });
  const pass = qFormer(p.at('qformer'), parts, { ...context, mask, image });
  return { ...pass, embedded: parts.queries, queries: pass.queries! };
}
