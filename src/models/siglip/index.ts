import type { ImageEncoderFamily } from '../contracts.ts';
import { describeVision } from '../vit/index.ts';
import { parseSiglipConfig, type SiglipConfig } from './config.ts';
import { siglip } from './model.ts';

export const siglipFamily: ImageEncoderFamily<SiglipConfig> = {
  parseConfig: parseSiglipConfig,
  encode: siglip,
  describe: (c) => describeVision(c, { table: 'position_embedding.weight', interpolation: { classToken: false } }),
};
