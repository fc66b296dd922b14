import { z } from 'zod';
import { count, parseTextConfig } from '../decoder/index.ts';
import { type LlamaConfig, llamaConfig, llamaLike } from '../llama/index.ts';
import { qwenFields } from '../qwen2/index.ts';

const schema = z.object({
  ...qwenFields,
  head_dim: count.default(128),
  attention_bias: z.boolean().default(false),
});

/** The configuration of a Hugging Face `Qwen3ForCausalLM`. Throws ConfigError naming the first wrong field. */
function parseQwen3Config(json: unknown): LlamaConfig {
  const { use_sliding_window: slides, sliding_window, attention_bias: bias, ...parsed } = parseTextConfig(schema, json);
  const window = slides ? sliding_window : null;
  return llamaConfig(parsed, { qkv_bias: bias, output_bias: bias, query_key_norm: true, window });
}

/** Qwen3, dense (Yang et al. 2025): Llama with normalised queries and keys. */
export const qwen3Family = llamaLike(parseQwen3Config);
