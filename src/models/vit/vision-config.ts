import { z } from 'zod';
import { ConfigError } from '../../core/index.ts';
import { type ActivationName, activations } from '../../nn/index.ts';
import type { Interpolation, VisionSizes } from '../contracts.ts';

const count = z.int().positive();

/** The fields that every vision transformer's Hugging Face configuration has. */
export const visionFields = {
  hidden_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  num_channels: count.default(3),
  image_size: count,
  patch_size: count,
  hidden_act: z.custom<ActivationName>((name) => typeof name === 'string' && Object.hasOwn(activations, name), {
    error: ({ input }) => `expected ${Object.keys(activations).join(', ')}, found ${JSON.stringify(input)}`,
  }),
  layer_norm_eps: z.number().positive(),
};
const visionConfig = z.object(visionFields);
export type VisionConfig = z.infer<typeof visionConfig>;

/**
 * `json` over the model type's defaults, checked; whether patches have to fill an image. Throws ConfigError naming the first
 * wrong field.
 */
export function parseVisionConfig<C extends VisionConfig>(
  schema: z.ZodType<C>,
  defaults: object,
  json: unknown,
  { filled = true } = {},
): C {
  if (typeof json !== 'object' || json === null) {
    throw new ConfigError(`vision_config: expected an object, found ${JSON.stringify(json)}`);
  }
  const parsed = schema.safeParse({ ...defaults, ...json });
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw new ConfigError(`vision_config: ${path.join('.')}: ${message}`);
  }
  const c = parsed.data;
  checkMultiple(c, 'hidden_size', 'num_attention_heads');
  if (filled) checkMultiple(c, 'image_size', 'patch_size');
  return c;
}

function checkMultiple(c: VisionConfig, field: 'hidden_size' | 'image_size', of: 'num_attention_heads' | 'patch_size') {
  if (c[field] % c[of] !== 0) {
    throw new ConfigError(`vision_config: ${field}: expected a multiple of ${of} ${c[of]}, found ${c[field]}`);
  }
}

/** Places at the configured size: the class token's and the patches'. */
export const tokenCount = (c: VisionConfig): number => 1 + (c.image_size / c.patch_size) ** 2;

interface Embedded {
  /** The name of the position table, below the embeddings. */
  readonly table: string;
  readonly interpolation?: Interpolation;
  /** Tokens between the class token and the patches. */
  readonly registers?: number;
}

/** What a caller has to know about an encoder that embeds images so. */
export const describeVision = (
  c: VisionConfig,
  { table, interpolation = {}, registers = 0 }: Embedded,
): VisionSizes => ({
  width: c.hidden_size,
  patchSize: c.patch_size,
  imageSize: c.image_size,
  prefixTokens: registers + (interpolation.classToken === false ? 0 : 1),
  positions: { name: `embeddings.${table}`, ...interpolation },
});
