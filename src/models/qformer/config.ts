import { z } from 'zod';
import { ConfigError } from '../../core/index.ts';
import { activations } from '../../nn/index.ts';

const schema = z.object({
  hidden_size: z.int().positive().default(768),
  num_hidden_layers: z.int().positive().default(12),
  num_attention_heads: z.int().positive().default(12),
  intermediate_size: z.int().positive().default(3072),
  hidden_act: z.enum(Object.keys(activations) as [keyof typeof activations]).default('gelu'),
  hidden_dropout_prob: z.number().min(0).max(1).default(0.1),
  attention_probs_dropout_prob: z.number().min(0).max(1).default(0.1),
  max_position_embeddings: z.int().positive().default(512),
  layer_norm_eps: z.number().positive().default(1e-12),
  cross_attention_frequency: z.int().positive().default(2),
  encoder_hidden_size: z.int().positive().default(1408),
  vocab_size: z.int().positive().default(30_522),
});

/** The `qformer_config` of a Hugging Face BLIP-2 checkpoint; the defaults are the paper's BERT-base. */
export type QFormerConfig = z.infer<typeof schema>;

/** Throws ConfigError naming the first wrong field. */
export function parseQFormerConfig(json: unknown): QFormerConfig {
  const result = schema.safeParse(json ?? {});
  if (!result.success) throw new ConfigError(`qformer_config: ${z.prettifyError(result.error).replaceAll('\n', ' ')}`);
  const { hidden_size: width, num_attention_heads: heads } = result.data;
  if (width % heads !== 0) {
    throw new ConfigError(`qformer_config: hidden_size ${width} is not a multiple of num_attention_heads ${heads}`);
  }
  return result.data;
}
