import type { ImageEncoderFamily } from './contracts.ts';
import { dinov2Family } from './dinov2/index.ts';

/** Image encoders by the `model_type` of their Hugging Face configuration. */
export const imageEncoders = {
  dinov2: dinov2Family,
} satisfies Record<string, ImageEncoderFamily<never>>;
