import { sub } from '../graph/index.ts';
import {
  causalMask,
  countedPositions,
  type Decoder,
  embedWords,
  lastOf,
  placeWords,
  qFormer,
  type TextContext,
} from '../models/index.ts';
import type { Params } from '../nn/index.ts';
import type { Blip2Config } from './config.ts';
import { captionLogits } from './objectives/itg.ts';

/**
 * The Q-Former as a language model: after stage 1 it writes captions itself, from the queries alone (§3.2, ITG). The
 * queries' keys and values (`readImage`) are the beginning of its cache, and [DEC] starts the text.
 */
export function captionWriter({ qformer_config: config, num_query_tokens: queries }: Blip2Config): Decoder {
  const contextOf = (p: Params): TextContext => ({ config, embeddings: p.at('embeddings') });
  return {
    kind: 'decoder',
    width: config.hidden_size,
    vocabularySize: config.vocab_size,
    layers: config.num_hidden_layers,
    keyValueHeads: config.num_attention_heads,
    headWidth: config.hidden_size / config.num_attention_heads,
    maxPositions: queries + config.max_position_embeddings,
    embed: (p, inputIds) => embedWords(inputIds, contextOf(p)),
    decode(p, { inputsEmbeds, attentionMask, cache, positionIds: counted }) {
      const length = inputsEmbeds.shape[1]!;
      const positions = counted ?? lastOf(countedPositions(attentionMask), length);
      const positionIds = sub(positions, queries); // queries have no positions
      const text = placeWords(p.at('qformer'), inputsEmbeds, { ...contextOf(p), positionIds });
      const mask = causalMask(attentionMask, length, p.dtype);
      const pass = qFormer(p.at('qformer'), { text }, { config, mask, past: cache });
      return { hidden: pass.text!, cache: pass.cache };
    },
    head: (p, hidden) => captionLogits(p, hidden, config),
  };
}
