import type { ImageEncoderFamily } from '../contracts.ts';
import { describeVision } from '../vit/index.ts';
import { type Dinov2Config, parseDinov2Config } from './config.ts';
import { dinov2, interpolation } from './model.ts';

export { type Dinov2Config, parseDinov2Config } from './config.ts';
export { dinov2, dinov2HiddenStates } from './model.ts';

export const dinov2Family: ImageEncoderFamily<Dinov2Config> = {
  parseConfig: parseDinov2Config,
  encode: dinov2,
  describe: (c) =>
    describeVision(c, {
      table: 'position_embeddings',
      interpolation: interpolation(c),
      registers: c.num_register_tokens,
    }),
};
