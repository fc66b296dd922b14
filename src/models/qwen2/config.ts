import { z } from 'zod';
import { count } from '../decoder/index.ts';
import { llamaFields } from '../llama/index.ts';

/** What Qwen2 and Qwen3 share; the defaults are of transformers, configuration_qwen2.py. */
export const qwenFields = {
  ...llamaFields,
  vocab_size: count.default(151_936),
  intermediate_size: count.default(22_016),
  num_key_value_heads: count.nullable().default(32),
  max_position_embeddings: count.default(32_768),
  use_sliding_window: z.boolean().default(false),
  /** How far the layers from `max_window_layers` on look back, where a window is used. */
  sliding_window: count.nullable().default(4096),
};
