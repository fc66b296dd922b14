import type { ImageEncoderFamily } from '../contracts.ts';
import { describeVision } from '../vit/index.ts';
import { type Dinov2Config, parseDinov2Config } from './config.ts';
import { dinov2 } from './model.ts';

export { type Dinov2Config, parseDinov2Config } from './config.ts';
export { dinov2, dinov2HiddenStates } from './model.ts';

export const dinov2Family: ImageEncoderFamily<Dinov2Config> = {
  parseConfig: parseDinov2Config,
  encode: dinov2,
  describe: (c) => describeVision(c, 'position_embeddings'),
};
