import { z } from 'zod';
import { count, parseTextConfig } from '../decoder/index.ts';
import { type LlamaConfig, llamaConfig, llamaLike, withinWindow } from '../llama/index.ts';
import { qwenFields } from '../qwen2/index.ts';

const schema = z.object({
  ...qwenFields,
  head_dim: count.default(128),
  attention_bias: z.boolean().default(false),
});

/** The configuration of a Hugging Face `Qwen3ForCausalLM`. Throws ConfigError naming the first wrong field. */
function parseQwen3Config(json: unknown): LlamaConfig {
  const { use_sliding_window, sliding_window, attention_bias: bias, ...parsed } = parseTextConfig(schema, json);
  const variant = { qkv_bias: bias, output_bias: bias, mlp_bias: false, query_key_norm: true };
  return withinWindow(llamaConfig(parsed, variant), use_sliding_window ? sliding_window : null);
}

/** Qwen3, dense (Yang et al. 2025): Llama with normalised queries and keys. */
export const qwen3Family = llamaLike(parseQwen3Config);
