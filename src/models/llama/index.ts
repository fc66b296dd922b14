import type { DecoderFamily } from '../contracts.ts';
import { type LlamaConfig, parseLlamaConfig } from './config.ts';
import { decodeLlama, describeLlama, embedLlama, llamaHead } from './model.ts';

export const llamaFamily: DecoderFamily<LlamaConfig> = {
  kind: 'decoder',
  parseConfig: parseLlamaConfig,
  embed: embedLlama,
  decode: decodeLlama,
  head: llamaHead,
  describe: describeLlama,
};
