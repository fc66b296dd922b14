import { z } from 'zod';
import { parseVisionConfig, visionFields } from '../vit/index.ts';

const schema = z.object({
  ...visionFields,
  mlp_ratio: z.number().positive(),
  qkv_bias: z.boolean(),
  use_swiglu_ffn: z.boolean(),
  use_mask_token: z.boolean(),
  /** Tokens that every image has, without a place (Darcet et al. 2024); only models with registers have any. */
  num_register_tokens: z.int().nonnegative(),
});

/** The configuration of a Hugging Face `Dinov2Model`. */
export type Dinov2Config = z.infer<typeof schema>;

const defaults = {
  hidden_size: 768,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  image_size: 224,
  patch_size: 14,
  hidden_act: 'gelu',
  layer_norm_eps: 1e-6,
  mlp_ratio: 4,
  qkv_bias: true,
  use_swiglu_ffn: false,
  use_mask_token: true,
  num_register_tokens: 0,
} satisfies Partial<Dinov2Config>;

/** Throws ConfigError naming the first wrong field. */
export const parseDinov2Config = (json: unknown): Dinov2Config => parseVisionConfig(schema, defaults, json);
