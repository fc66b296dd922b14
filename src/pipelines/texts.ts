import type { Encoding, Tokenizer } from '../text/index.ts';
import type { Sessions } from './sessions.ts';

/** Texts as the Q-Former reads them: [CLS] … [SEP], padded on the right, cut where its positions end. */
export function encodeTexts({ files }: Sessions, texts: readonly string[]): Encoding {
  const tokenizer: Tokenizer = files.tokenizer!; // wherever there is a head for text: see openModel
  return tokenizer.encodeBatch(texts, {
    maxLength: files.config.qformer_config.max_position_embeddings,
    paddingSide: 'right',
  });
}
