import { z } from 'zod';
import { activation, count, parseTextConfig, requireMultiple } from '../decoder/index.ts';

const schema = z.object({
  vocab_size: count.default(50_272),
  hidden_size: count.default(768),
  num_hidden_layers: count.default(12),
  num_attention_heads: count.default(12),
  ffn_dim: count.default(3072),
  max_position_embeddings: count.default(2048),
  /** Pre-norm; opt-350m alone is post-norm. */
  do_layer_norm_before: z.boolean().default(true),
  _remove_final_layer_norm: z.boolean().default(false),
  /** The embedding's width where it is not `hidden_size` (opt-350m). */
  word_embed_proj_dim: count.nullish(),
  activation_function: activation.default('relu'),
  enable_bias: z.boolean().default(true),
  layer_norm_elementwise_affine: z.literal(true).default(true),
  tie_word_embeddings: z.boolean().default(true),
});

/** The configuration of a Hugging Face `OPTForCausalLM`; the defaults are opt-125m's. */
export type OptConfig = z.infer<typeof schema>;

/** Throws ConfigError naming the first wrong field. */
export function parseOptConfig(json: unknown): OptConfig {
  const config = parseTextConfig(schema, json);
  requireMultiple(config, 'hidden_size', 'num_attention_heads');
  return config;
}
