import type { ImageEncoderFamily } from '../contracts.ts';
import { type Dinov2Config, dinov2Family, parseDinov2Config } from '../dinov2/index.ts';

/** The configuration of a Hugging Face `Dinov2WithRegistersModel`. */
const parseConfig = (json: unknown): Dinov2Config =>
  parseDinov2Config(
    typeof json === 'object' && json !== null ? { num_register_tokens: 4, patch_size: 16, ...json } : json,
  );

/** DINOv2 with registers (Darcet et al. 2024), which take what attention otherwise leaves in patches of little content. */
export const dinov2WithRegistersFamily: ImageEncoderFamily<Dinov2Config> = { ...dinov2Family, parseConfig };
