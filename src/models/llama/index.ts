import type { DecoderFamily } from '../contracts.ts';
import { type LlamaConfig, parseLlamaConfig } from './config.ts';
import { decodeLlama, describeLlama, embedLlama, llamaHead } from './model.ts';

export { type LlamaConfig, llamaConfig, llamaFields } from './config.ts';

/** A family of Llama's architecture, by how its configuration is read. */
export const llamaLike = (parseConfig: (json: unknown) => LlamaConfig): DecoderFamily<LlamaConfig> => ({
  kind: 'decoder',
  parseConfig,
  embed: embedLlama,
  decode: decodeLlama,
  head: llamaHead,
  describe: describeLlama,
});

export const llamaFamily = llamaLike(parseLlamaConfig);
