import { ConfigError, nearest } from '../core/index.ts';
import type { Tensor } from '../graph/index.ts';
import type { LeftOut, Params } from '../nn/index.ts';
import { clipFamily } from './clip/index.ts';
import type { ImageEncoderFamily, VisionSizes } from './contracts.ts';
import { dinov2Family } from './dinov2/index.ts';
import { dinov2WithRegistersFamily } from './dinov2_with_registers/index.ts';
import { siglipFamily } from './siglip/index.ts';
import { type VisionConfig, vitFamily } from './vit/index.ts';

/** Image encoders by the `model_type` of their Hugging Face configuration. */
export const imageEncoders = {
  blip_2_vision_model: vitFamily,
  instructblip_vision_model: vitFamily,
  clip_vision_model: clipFamily,
  dinov2: dinov2Family,
  dinov2_with_registers: dinov2WithRegistersFamily,
  siglip_vision_model: siglipFamily,
} satisfies Record<string, ImageEncoderFamily<VisionConfig>>;

/** A family with its configuration. */
export interface ImageEncoder extends VisionSizes {
  /** pixelValues [B, 3, H, W] -> imageEmbeds [B, P, Dv], what the Q-Former attends to. */
  encode(p: Params, pixelValues: Tensor, leftOut?: LeftOut): Tensor;
  /** `encode` in two, where it ends in a LayerNorm that trains though the encoder is frozen: see ImageEncoderFamily. */
  readonly parts?:
    | {
        frozen(p: Params, pixelValues: Tensor, leftOut?: LeftOut): Tensor;
        lnVision(p: Params, states: Tensor): Tensor;
      }
    | undefined;
}

/** The encoder that a `vision_config` describes. Throws ConfigError where its `model_type` or a field is wrong. */
export function imageEncoder(json: { readonly model_type?: unknown }): ImageEncoder {
  const family = familyOf(json.model_type);
  const config = family.parseConfig(json);
  const { lnVision } = family;
  const frozen = (p: Params, pixelValues: Tensor, leftOut?: LeftOut) => family.encode(p, pixelValues, config, leftOut);
  if (!lnVision) return { ...family.describe(config), encode: frozen };
  return {
    ...family.describe(config),
    encode: (p, pixelValues, leftOut) => lnVision(p, frozen(p, pixelValues, leftOut), config),
    parts: { frozen, lnVision: (p, states) => lnVision(p, states, config) },
  };
}

function familyOf(modelType: unknown): ImageEncoderFamily<VisionConfig> {
  const families = new Map<unknown, ImageEncoderFamily<VisionConfig>>(Object.entries(imageEncoders));
  const family = families.get(modelType);
  if (family) return family;
  const names = Object.keys(imageEncoders);
  const near = nearest(String(modelType), names);
  throw new ConfigError(
    `vision_config: model_type: expected ${names.join(', ')}, found ${JSON.stringify(modelType)}${near ? `; did you mean ${near}?` : ''}`,
  );
}
