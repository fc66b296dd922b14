import type { DecoderFamily } from '../contracts.ts';
import { type OptConfig, parseOptConfig } from './config.ts';
import { decodeOpt, describeOpt, embedOpt, optHead } from './model.ts';

export const optFamily: DecoderFamily<OptConfig> = {
  kind: 'decoder',
  parseConfig: parseOptConfig,
  embed: embedOpt,
  decode: decodeOpt,
  head: optHead,
  describe: describeOpt,
};
