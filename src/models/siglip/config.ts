import { z } from 'zod';
import { parseVisionConfig, visionFields } from '../vit/index.ts';

const schema = z.object({ ...visionFields, intermediate_size: z.int().positive() });

/** The configuration of a Hugging Face `SiglipVisionModel`. */
export type SiglipConfig = z.infer<typeof schema>;

const defaults = {
  hidden_size: 768,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  image_size: 224,
  patch_size: 16,
  hidden_act: 'gelu_pytorch_tanh',
  layer_norm_eps: 1e-6,
  intermediate_size: 3072,
} satisfies Partial<SiglipConfig>;

/** Patches need not fill an image: of 384 pixels those of 14 leave 6 out. Throws ConfigError naming the first wrong field. */
export const parseSiglipConfig = (json: unknown): SiglipConfig =>
  parseVisionConfig(schema, defaults, json, { filled: false });
