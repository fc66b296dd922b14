import type { ImageEncoderFamily } from '../contracts.ts';
import { parseVitConfig, type VitConfig } from './config.ts';
import { vitHiddenStates, vitLnVision } from './model.ts';
import { describeVision } from './vision-config.ts';

export { parseVitConfig, type VitConfig } from './config.ts';
export { preNormStates, projectedAttention } from './layer.ts';
export { vit, vitHiddenStates } from './model.ts';
export { embedImage, everyImage, patchGrid } from './patches.ts';
export { featureShape, poolPatches } from './pool.ts';
export { type Grid, interpolatePositions } from './positions.ts';
export { describeVision, parseVisionConfig, tokenCount, type VisionConfig, visionFields } from './vision-config.ts';

export const vitFamily: ImageEncoderFamily<VitConfig> = {
  parseConfig: parseVitConfig,
  encode: (...at) => vitHiddenStates(...at).at(-1)!,
  lnVision: vitLnVision,
  describe: (c) => describeVision(c, { table: 'position_embedding' }),
};
