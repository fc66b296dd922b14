import { z } from 'zod';
import { ConfigError } from '../core/index.ts';
import { parseQFormerConfig, type QFormerConfig } from '../models/index.ts';

const schema = z.object({
  num_query_tokens: z.int().positive().default(32),
  image_text_hidden_size: z.int().positive().default(256),
  image_token_index: z.int().nonnegative().nullish(),
  /** Patches along each side of the square that is averaged before the Q-Former sees it; ours, no published model has it. */
  image_feature_pooling: z.int().positive().default(1),
  /** The words that training taught the language model to begin captions with; ours too. */
  caption_prompt: z.string().optional(),
  /** Those around a question, which stands where {} does; ours too. */
  question_prompt: z.string().optional(),
  /** How many of ITM's logits a cosine of ITC is worth where a search adds both (`rerankScore`); ours too. */
  rerank_itc_weight: z.number().nonnegative().optional(),
});

/** What BLIP-2 adds to its three parts, under the names of a Hugging Face `config.json`. */
export interface Blip2Config extends z.infer<typeof schema> {
  qformer_config: QFormerConfig;
}

/** Throws ConfigError naming the first wrong field. */
export function parseBlip2Config(json: Readonly<Record<string, unknown>>): Blip2Config {
  const result = schema.safeParse(json);
  if (!result.success) throw new ConfigError(`config.json: ${z.prettifyError(result.error).replaceAll('\n', ' ')}`);
  return { ...result.data, qformer_config: parseQFormerConfig(json.qformer_config) };
}
