import { z } from 'zod';
import type { ActivationName } from '../../nn/index.ts';
import { activation, count, parseTextConfig } from '../decoder/index.ts';

const schema = z.object({
  vocab_size: count.default(32_128),
  d_model: count.default(512),
  /** Of one head; heads · d_kv need not be d_model. */
  d_kv: count.default(64),
  d_ff: count.default(2048),
  num_heads: count.default(8),
  /** Of the encoder. */
  num_layers: count.default(6),
  /** As many as the encoder's where absent. */
  num_decoder_layers: count.nullish(),
  relative_attention_num_buckets: z.int().min(4).default(32),
  relative_attention_max_distance: count.default(128),
  layer_norm_epsilon: z.number().positive().default(1e-6),
  feed_forward_proj: z.enum(['relu', 'gated-gelu']).default('relu'),
  /** Says what `feed_forward_proj` leaves open: BLIP-2's Flan-T5 has exact GELU, plain Flan-T5 its approximation. */
  dense_act_fn: activation.optional(),
  /** Whether the head is the embedding table, and reads scaled hidden states; see `scale_decoder_outputs`. */
  tie_word_embeddings: z.boolean().default(true),
  /** What transformers 5 keeps that in; `tie_word_embeddings` is then always true. */
  scale_decoder_outputs: z.boolean().nullish(),
  decoder_start_token_id: z.int().nonnegative().default(0),
});

/** The configuration of a Hugging Face `T5ForConditionalGeneration`; the defaults are T5-small's. */
export interface T5Config extends Omit<z.infer<typeof schema>, 'scale_decoder_outputs'> {
  num_decoder_layers: number;
  dense_act_fn: ActivationName;
}

/** Throws ConfigError naming the first wrong field. */
export function parseT5Config(json: unknown): T5Config {
  const { scale_decoder_outputs, ...parsed } = parseTextConfig(schema, json);
  return {
    ...parsed,
    tie_word_embeddings: scale_decoder_outputs ?? parsed.tie_word_embeddings,
    num_decoder_layers: parsed.num_decoder_layers ?? parsed.num_layers,
    dense_act_fn: parsed.dense_act_fn ?? (parsed.feed_forward_proj === 'relu' ? 'relu' : 'gelu_new'),
  };
}
