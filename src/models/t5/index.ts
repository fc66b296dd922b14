import type { EncoderDecoderFamily } from '../contracts.ts';
import { parseT5Config, type T5Config } from './config.ts';
import { decodeT5, describeT5, embedT5, encodeT5, memoryT5, t5Head } from './model.ts';

export const t5Family: EncoderDecoderFamily<T5Config> = {
  kind: 'encoder-decoder',
  parseConfig: parseT5Config,
  embed: embedT5,
  encode: encodeT5,
  memory: memoryT5,
  decode: decodeT5,
  head: t5Head,
  describe: describeT5,
  decoderStart: (c) => c.decoder_start_token_id,
};
