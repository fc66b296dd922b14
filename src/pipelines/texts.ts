import { UsageError } from '../core/index.ts';
import type { Encoding, Tokenizer } from '../text/index.ts';
import type { Sessions } from './sessions.ts';

/**
 * Texts as the Q-Former reads them: [CLS] … [SEP], padded on the right, cut where its positions end. Only of a model with
 * heads for texts, which has a tokenizer: see `Sessions.texts`. Throws UsageError where there are no texts.
 */
export function encodeTexts({ files }: Sessions, texts: readonly string[]): Encoding {
  if (!Array.isArray(texts) || texts.length === 0) {
    throw new UsageError(`texts: expected a list of at least one, found ${JSON.stringify(texts)}`);
  }
  const tokenizer: Tokenizer = files.tokenizer!;
  return tokenizer.encodeBatch(texts, {
    maxLength: files.config.qformer_config.max_position_embeddings,
    paddingSide: 'right',
  });
}
