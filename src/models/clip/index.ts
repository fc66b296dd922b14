import type { ImageEncoderFamily } from '../contracts.ts';
import { describeVision } from '../vit/index.ts';
import { type ClipConfig, parseClipConfig } from './config.ts';
import { clipFeatures, clipLnVision } from './model.ts';

export { type ClipConfig, parseClipConfig } from './config.ts';
export { clip, clipHiddenStates } from './model.ts';

export const clipFamily: ImageEncoderFamily<ClipConfig> = {
  parseConfig: parseClipConfig,
  encode: clipFeatures,
  lnVision: clipLnVision,
  describe: (c) =>
    describeVision(c, {
      table: 'position_embedding.weight',
      interpolation: { alignCorners: c.position_align_corners },
    }),
};
