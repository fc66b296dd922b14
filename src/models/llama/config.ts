import { z } from 'zod';
import { ConfigError } from '../../core/index.ts';
import { activation, count, parseTextConfig, requireMultiple } from '../decoder/index.ts';

/** How positions are scaled, which has to be not at all. `type` is the older name of `rope_type`. */
const unscaled = z
  .looseObject({
    rope_theta: z.number().positive().optional(),
    rope_type: z.unknown().optional(),
    type: z.unknown().optional(),
    factor: z.unknown().optional(),
  })
  .refine(({ rope_type, type, factor = 1 }) => (rope_type ?? type ?? 'default') === 'default' && factor === 1, {
    error: ({ input }) =>
      `scaled rotary positions are not supported yet; expected the rope_type default, found ${JSON.stringify(input)}`,
  });

const schema = z.object({
  vocab_size: count.default(32_000),
  hidden_size: count.default(4096),
  intermediate_size: count.default(11_008),
  num_hidden_layers: count.default(32),
  num_attention_heads: count.default(32),
  /** Fewer than the query heads in grouped-query attention; as many where absent. */
  num_key_value_heads: count.nullish(),
  /** hidden_size / num_attention_heads where absent. */
  head_dim: count.nullish(),
  hidden_act: activation.default('silu'),
  max_position_embeddings: count.default(2048),
  rms_norm_eps: z.number().positive().default(1e-6),
  rope_theta: z.number().positive().default(10_000),
  rope_scaling: unscaled.nullish(),
  /** What transformers 5 keeps the two above in. */
  rope_parameters: unscaled.nullish(),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(false),
});

/** The configuration of a Hugging Face `LlamaForCausalLM`; the defaults are Llama-7B's. */
export interface LlamaConfig extends Omit<z.infer<typeof schema>, 'rope_scaling' | 'rope_parameters'> {
  num_key_value_heads: number;
  head_dim: number;
}

/** Throws ConfigError naming the first wrong field. */
export function parseLlamaConfig(json: unknown): LlamaConfig {
  const { rope_scaling: _, rope_parameters, ...parsed } = parseTextConfig(schema, json);
  if (!parsed.head_dim) requireMultiple(parsed, 'hidden_size', 'num_attention_heads');
  const config: LlamaConfig = {
    ...parsed,
    rope_theta: rope_parameters?.rope_theta ?? parsed.rope_theta,
    num_key_value_heads: parsed.num_key_value_heads ?? parsed.num_attention_heads,
    head_dim: parsed.head_dim ?? parsed.hidden_size / parsed.num_attention_heads,
  };
  requireMultiple(config, 'num_attention_heads', 'num_key_value_heads');
  if (config.head_dim % 2 !== 0) {
    throw new ConfigError(`text_config: head_dim: rotary positions need an even number, found ${config.head_dim}`);
  }
  return config;
}
