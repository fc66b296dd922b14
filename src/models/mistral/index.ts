import { z } from 'zod';
import { count, parseTextConfig } from '../decoder/index.ts';
import { type LlamaConfig, llamaConfig, llamaFields, llamaLike } from '../llama/index.ts';

/** The defaults are Mistral-7B's (transformers, configuration_mistral.py). */
const schema = z.object({
  ...llamaFields,
  intermediate_size: count.default(14_336),
  num_key_value_heads: count.nullable().default(8),
  max_position_embeddings: count.default(4096 * 32),
  /** How far a layer looks back; null from version 0.2 on: to the beginning. */
  sliding_window: count.nullable().default(4096),
});

/** The configuration of a Hugging Face `MistralForCausalLM`. Throws ConfigError naming the first wrong field. */
function parseMistralConfig(json: unknown): LlamaConfig {
  const { sliding_window: window, ...parsed } = parseTextConfig(schema, json);
  return llamaConfig(parsed, { window });
}

/** Mistral (Jiang et al. 2023): Llama with grouped queries and a window. */
export const mistralFamily = llamaLike(parseMistralConfig);
