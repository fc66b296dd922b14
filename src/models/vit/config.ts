import { z } from 'zod';
import { parseVisionConfig, visionFields } from './vision-config.ts';

const schema = z.object({
  ...visionFields,
  intermediate_size: z.int().positive(),
  qkv_bias: z.boolean(),
  /** ε of the last LayerNorm where it is not `layer_norm_eps`: LAVIS's `ln_vision` has 1e-5. */
  post_layernorm_eps: z.number().positive().optional(),
});

/** The configuration of a Hugging Face `Blip2VisionModel` (or InstructBLIP's, which is the same). */
export type VitConfig = z.infer<typeof schema>;

const defaults = {
  hidden_size: 1408,
  num_hidden_layers: 39,
  num_attention_heads: 16,
  image_size: 224,
  patch_size: 14,
  hidden_act: 'gelu',
  layer_norm_eps: 1e-6,
  intermediate_size: 6144,
  qkv_bias: true,
} satisfies Partial<VitConfig>;

/** The defaults are BLIP-2's ViT-g. Throws ConfigError naming the first wrong field. */
export const parseVitConfig = (json: unknown): VitConfig => parseVisionConfig(schema, defaults, json);
