import { join } from 'node:path';
import type { Value } from '../core/index.ts';
import { type CacheOptions, cacheFeatures, FeatureCache, type Records } from '../data/index.ts';
import { input, type Tensor } from '../graph/index.ts';
import { type EncoderIdentity, fingerprint } from '../hub/index.ts';
import type { ImageProcessor } from '../image/index.ts';
import { featureShape, type ImageEncoder, poolPatches } from '../models/index.ts';
import { Params } from '../nn/index.ts';
import { compile, type Session, weightsFrom } from '../runtime/index.ts';

/** A frozen image encoder with its weights: what turns pictures into features for the Q-Former. */
export interface FrozenEncoder extends EncoderIdentity {
  readonly encoder: ImageEncoder;
  readonly processor: ImageProcessor;
  /** Patches averaged in squares of so many; 1 = none. */
  readonly pooling: number;
}

/** [B, 3, H, W] -> [B, P, Dv], pooled as the Q-Former of this model reads them. */
export function encodeImages(
  p: Params,
  pixelValues: Tensor,
  { encoder, pooling }: Pick<FrozenEncoder, 'encoder' | 'pooling'>,
): Tensor {
  const features = encoder.encode(p, pixelValues);
  return pooling === 1 ? features : poolPatches(features, { factor: pooling });
}

/** The cache of an encoder's features among those in `folder`. */
export async function openFeatureCache(folder: string, frozen: FrozenEncoder): Promise<FeatureCache> {
  const { encoder, processor, pooling } = frozen;
  return new FeatureCache(
    join(folder, await fingerprint(frozen)),
    featureShape(encoder, { size: processor.size, pooling }),
  );
}

/** Makes sure that the cache holds every image of a dataset; returns the keys by record. See `cacheFeatures`. */
export async function encodeDataset(
  records: Records,
  cache: FeatureCache,
  { frozen, ...options }: { frozen: FrozenEncoder } & Pick<CacheOptions, 'onProgress' | 'onSkip' | 'signal'>,
): Promise<(string | undefined)[]> {
  let session: Session<'features'> | undefined;
  const encode = async (pixelValues: Value): Promise<Value> => {
    session ??= await compileEncoder(frozen);
    return (await session.run({ pixelValues })).features;
  };
  try {
    return await cacheFeatures(records, cache, { processor: frozen.processor, encode, ...options });
  } finally {
    await session?.release();
  }
}

/** pixelValues [batch, 3, H, W] -> features [batch, P, Dv]. */
function compileEncoder(frozen: FrozenEncoder): Promise<Session<'features'>> {
  const { height, width } = frozen.processor.size;
  const pixelValues = input('pixelValues', 'float32', ['batch', 3, height, width]);
  return compile({ features: encodeImages(new Params(), pixelValues, frozen) }, weightsFrom(frozen.state));
}
