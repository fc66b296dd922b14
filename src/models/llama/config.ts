import { z } from 'zod';
import { ConfigError } from '../../core/index.ts';
import { activation, count, parseTextConfig, requireMultiple } from '../decoder/index.ts';

const positive = z.number().positive();

/** How rotary positions are scaled for longer texts: see `rotation`. */
export type RopeScaling = z.infer<typeof linear> | z.infer<typeof llama3>;
const linear = z.object({ rope_type: z.literal('linear'), factor: positive });
const llama3 = z.object({
  rope_type: z.literal('llama3'),
  factor: positive,
  low_freq_factor: positive,
  high_freq_factor: positive,
  original_max_position_embeddings: count,
});
const unscaled = z.object({ rope_type: z.literal('default'), factor: z.literal(1).optional() });

/** `type` is the older name of `rope_type`; `rope_theta` is beside it where transformers 5 wrote it. */
const rope = z.looseObject({ rope_theta: positive.optional() }).transform((json, context) => {
  const { rope_theta, type = 'default', ...fields } = json;
  const found = z.discriminatedUnion('rope_type', [unscaled, linear, llama3]).safeParse({ rope_type: type, ...fields });
  if (found.success) return { rope_theta, scaling: found.data.rope_type === 'default' ? undefined : found.data };
  const { path, message } = found.error.issues[0]!;
  const wanted =
    path[0] === 'rope_type' ? 'expected the rope_type default, linear or llama3' : `${path.join('.')}: ${message}`;
  context.addIssue(`rotary positions cannot be scaled so: ${wanted}, found ${JSON.stringify(json)}`);
  return z.NEVER;
});

/** The fields of every model with Llama's architecture; the defaults are Llama-7B's. */
export const llamaFields = {
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
  rms_norm_eps: positive.default(1e-6),
  rope_theta: positive.default(10_000),
  rope_scaling: rope.nullish(),
  /** What transformers 5 keeps the two above in. */
  rope_parameters: rope.nullish(),
  tie_word_embeddings: z.boolean().default(false),
};
const fields = z.object(llamaFields);
type Fields = z.infer<typeof fields>;

/** What tells the models of this architecture from each other. */
interface Variant {
  /** Biases of the projections to queries, keys and values, of the one back, and of the feed-forward layers. */
  readonly qkv_bias: boolean;
  readonly output_bias: boolean;
  readonly mlp_bias: boolean;
  /** An RMSNorm over every head of queries and keys, before they are turned. */
  readonly query_key_norm: boolean;
}

/** A model of Llama's architecture. */
export interface LlamaConfig extends Omit<Fields, 'rope_scaling' | 'rope_parameters'>, Variant {
  num_key_value_heads: number;
  head_dim: number;
  rope_scaling: RopeScaling | undefined;
}

/**
 * A configuration, plain but for what is given. Where layers see a window only, what they do within it is all that is computed
 * here: it bounds the positions. Throws ConfigError naming the field that does not fit the others.
 */
export function llamaConfig(
  { rope_scaling, rope_parameters, ...parsed }: Fields,
  { window, ...variant }: Partial<Variant> & { readonly window?: number | null },
): LlamaConfig {
  if (!parsed.head_dim) requireMultiple(parsed, 'hidden_size', 'num_attention_heads');
  const config: LlamaConfig = {
    ...parsed,
    ...{ qkv_bias: false, output_bias: false, mlp_bias: false, query_key_norm: false, ...variant },
    max_position_embeddings: Math.min(parsed.max_position_embeddings, window ?? Infinity),
    rope_theta: rope_parameters?.rope_theta ?? parsed.rope_theta,
    rope_scaling: rope_parameters?.scaling ?? rope_scaling?.scaling,
    num_key_value_heads: parsed.num_key_value_heads ?? parsed.num_attention_heads,
    head_dim: parsed.head_dim ?? parsed.hidden_size / parsed.num_attention_heads,
  };
  requireMultiple(config, 'num_attention_heads', 'num_key_value_heads');
  if (config.head_dim % 2 !== 0) {
    throw new ConfigError(`text_config: head_dim: rotary positions need an even number, found ${config.head_dim}`);
  }
  return config;
}

const schema = z.object({
  ...llamaFields,
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
});

/** The configuration of a Hugging Face `LlamaForCausalLM`. Throws ConfigError naming the first wrong field. */
export function parseLlamaConfig(json: unknown): LlamaConfig {
  const { attention_bias: bias, mlp_bias, ...parsed } = parseTextConfig(schema, json);
  return llamaConfig(parsed, { qkv_bias: bias, output_bias: bias, mlp_bias });
}
