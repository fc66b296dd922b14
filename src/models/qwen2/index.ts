import { z } from 'zod';
import { parseTextConfig } from '../decoder/index.ts';
import { type LlamaConfig, llamaConfig, llamaLike } from '../llama/index.ts';
import { qwenFields } from './config.ts';

/** The configuration of a Hugging Face `Qwen2ForCausalLM`. Throws ConfigError naming the first wrong field. */
function parseQwen2Config(json: unknown): LlamaConfig {
  const { use_sliding_window: slides, sliding_window, ...parsed } = parseTextConfig(z.object(qwenFields), json);
  return llamaConfig(parsed, { qkv_bias: true, window: slides ? sliding_window : null });
}

/** Qwen2 and Qwen2.5 (Yang et al. 2024): Llama with biases in the projections to queries, keys and values. */
export const qwen2Family = llamaLike(parseQwen2Config);
export { qwenFields } from './config.ts';
