import { z } from 'zod';
import { ConfigError } from '../../core/index.ts';
import { parseVisionConfig, visionFields } from '../vit/index.ts';

const schema = z.object({
  ...visionFields,
  intermediate_size: z.int().positive(),
  /** The hidden state that is read, counted back from the last: −1 in LAVIS's checkpoints, which end with it. */
  vision_feature_layer: z.int().negative(),
  /** How positions are interpolated: LAVIS lays the grids' corner cells on each other, Hugging Face their edges. */
  position_align_corners: z.boolean(),
});

/** The configuration of a Hugging Face `CLIPVisionModel`, with what BLIP-2 does differently. */
export type ClipConfig = z.infer<typeof schema>;

const defaults = {
  hidden_size: 768,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  image_size: 224,
  patch_size: 32,
  hidden_act: 'quick_gelu',
  layer_norm_eps: 1e-5,
  intermediate_size: 3072,
  vision_feature_layer: -2,
  position_align_corners: false,
} satisfies Partial<ClipConfig>;

/** Throws ConfigError naming the first wrong field. */
export function parseClipConfig(json: unknown): ClipConfig {
  const c = parseVisionConfig(schema, defaults, json);
  if (-c.vision_feature_layer > c.num_hidden_layers + 1) {
    throw new ConfigError(
      `vision_config: vision_feature_layer: expected at least ${-c.num_hidden_layers - 1}, found ${c.vision_feature_layer}`,
    );
  }
  return c;
}
