import { join } from 'node:path';
import type { Value } from '../core/index.ts';
import { type CacheOptions, cacheFeatures, FeatureCache, type ImageRecord, type Records } from '../data/index.ts';
import { fixed, input, type Tensor } from '../graph/index.ts';
import { type EncoderIdentity, fingerprint } from '../hub/index.ts';
import type { ImageProcessor } from '../image/index.ts';
import { featureShape, type ImageEncoder, poolPatches } from '../models/index.ts';
import { type LeftOut, Params } from '../nn/index.ts';
import { compile, type Session, type SessionOptions, weightsFrom } from '../runtime/index.ts';

/** An image encoder with its weights: what turns pictures into features for the Q-Former. */
export interface EncoderWithWeights extends EncoderIdentity {
  readonly encoder: ImageEncoder;
  readonly processor: ImageProcessor;
  /** Patches averaged in squares of so many; 1 = none. */
  readonly pooling: number;
}

type Reading = Pick<EncoderWithWeights, 'encoder' | 'pooling'>;

/**
 * What a frozen encoder makes of [B, 3, H, W], which is kept: the features [B, P, Dv] as the Q-Former reads them, or, where
 * `ln_vision` comes after it and trains, the states [B, 1 + h·w, Dv] before that and before patches are pooled.
 */
const frozenFeatures = (p: Params, pixelValues: Tensor, { encoder, pooling }: Reading): Tensor =>
  encoder.parts ? encoder.parts.frozen(p, pixelValues) : encodeImages(p, pixelValues, { encoder, pooling });

/** What is left of `encodeImages` after `frozenFeatures`. */
export const finishFeatures = (p: Params, frozen: Tensor, { encoder, pooling }: Reading): Tensor =>
  encoder.parts ? pool(encoder.parts.lnVision(p, frozen), { encoder, pooling }) : frozen;

/** The features [N, P, Dv] as the Q-Former reads them, from what a frozen encoder made; `weights` by full names. */
export async function finishedFeatures(
  frozen: Value,
  {
    images,
    weights,
    session: options,
  }: { images: Reading; weights: ReadonlyMap<string, Value>; session: SessionOptions },
): Promise<Value> {
  if (!images.encoder.parts) return frozen;
  const [, ...shape] = frozen.shape;
  const features = finishFeatures(
    new Params().at('vision_model'),
    input('frozen', 'float32', ['batch', ...shape]),
    images,
  );
  const session = await compile({ features }, weightsFrom(weights), options);
  try {
    return (await session.run({ frozen })).features;
  } finally {
    await session.release();
  }
}

/** Patches averaged in squares; `grid` where they are not all those of a square picture. */
const pool = (
  features: Tensor,
  { encoder: { prefixTokens }, pooling: factor, grid }: Reading & { grid?: readonly [number, number] },
): Tensor => (factor === 1 ? features : poolPatches(features, { factor, prefixTokens, ...(grid && { grid }) }));

/**
 * [B, 3, H, W] -> [B, P, Dv], pooled as the Q-Former of this model reads them. Where tokens are left out, those of each
 * square that is pooled follow each other.
 */
export function encodeImages(
  p: Params,
  pixelValues: Tensor,
  { encoder, pooling, leftOut }: Reading & { leftOut?: LeftOut | undefined },
): Tensor {
  const features = encoder.encode(p, pixelValues, leftOut);
  if (!leftOut?.keepTokens) return pool(features, { encoder, pooling });
  const patches = fixed(features.shape[1], 'the number of image tokens') - encoder.prefixTokens;
  return pool(features, { encoder, pooling, grid: [patches / pooling, pooling] });
}

/** P and Dv of `frozenFeatures` of one image. */
export const frozenShape = ({ encoder, processor, pooling }: EncoderWithWeights) =>
  featureShape(encoder, { size: processor.size, pooling: encoder.parts ? 1 : pooling });

/** The pixels of a batch, as graphs read them. */
export function pixelInput({ processor }: EncoderWithWeights, batch: number | string): Tensor {
  const { height, width } = processor.size;
  return input('pixelValues', 'float32', [batch, 3, height, width]);
}

/** The cache of a frozen encoder's features among those in `folder`. */
export async function openFeatureCache(folder: string, images: EncoderWithWeights): Promise<FeatureCache> {
  const name = await fingerprint(images);
  return new FeatureCache(join(folder, images.encoder.parts ? `${name}-before-ln` : name), frozenShape(images));
}

/** Makes sure that the cache holds every image of a dataset; returns the keys by record. See `cacheFeatures`. */
export async function encodeDataset(
  records: Records<ImageRecord>,
  cache: FeatureCache,
  {
    images,
    session: sessionOptions,
    ...options
  }: { images: EncoderWithWeights; session: SessionOptions } & Omit<CacheOptions, 'processor' | 'encode' | 'batchSize'>,
): Promise<(string | undefined)[]> {
  let session: Session<'features'> | undefined;
  const encode = async (pixelValues: Value): Promise<Value> => {
    session ??= await compileEncoder(images, sessionOptions);
    return (await session.run({ pixelValues })).features;
  };
  try {
    return await cacheFeatures(records, cache, { processor: images.processor, encode, ...options });
  } finally {
    await session?.release();
  }
}

/** pixelValues [batch, 3, H, W] -> `frozenFeatures` of them. */
export const compileEncoder = (images: EncoderWithWeights, options: SessionOptions): Promise<Session<'features'>> =>
  compile(
    { features: frozenFeatures(new Params(), pixelInput(images, 'batch'), images) },
    weightsFrom(images.state),
    options,
  );
