import { floats, joinRows, toFloat32, UsageError, type Value, viewRows } from '../core/index.ts';
import { fingerprint } from '../hub/index.ts';
import { type ImageProcessor, normalise, type RawImage, readModelImage, toModelSize } from '../image/index.ts';
import { featureShape } from '../models/index.ts';
import { cachedTogether } from '../runtime/index.ts';
import type { ModelFiles } from './model-files.ts';
import type { Sessions } from './sessions.ts';

/** A picture: a file, the bytes of one, or decoded pixels. */
export type ImageInput = string | Uint8Array | RawImage;

/**
 * Pictures, or `pixelValues` [B, 3, H, W] as an image processor makes them, or `imageEmbeds` [B, P, Dv] as the image
 * encoder does: what is computed once need not be computed again.
 */
export type Images = readonly ImageInput[] | Value<'float32'>;

/** One of these; a value has a batch of one. */
export type OneImage = ImageInput | Value<'float32'>;

export const imagesOf = (image: OneImage): Images => (isTensor(image) ? image : [image]);

const isTensor = (images: Images | OneImage): images is Value<'float32'> =>
  typeof images === 'object' && 'dtype' in images;

/** Whether images are a tensor and not a list. Throws UsageError for one picture alone, which JavaScript lets pass. */
function areComputed(images: Images): images is Value<'float32'> {
  if (isTensor(images)) return true;
  if (Array.isArray(images)) return false;
  throw new UsageError(
    'images: expected a list of pictures or a tensor, got one picture; put it into a list: [picture]',
  );
}

/** Pixels as the model sees them. Throws DataError naming the image that cannot be used; UsageError as `areComputed`. */
export async function readPixels(images: Images, p: ImageProcessor): Promise<Value<'float32'>> {
  if (areComputed(images)) return images;
  return normalise(await Promise.all(images.map((image) => readOne(image, p))), p);
}

async function readOne(image: ImageInput, p: ImageProcessor): Promise<RawImage> {
  if (typeof image !== 'string' && !(image instanceof Uint8Array)) return toModelSize(image, p);
  return readModelImage(image, p, { exifRotate: true }); // as transformers' load_image, for pictures from cameras
}

/**
 * What the Q-Former reads of images: imageEmbeds [B, P, Dv], of a picture that was seen before from memory. Throws the
 * signal's reason before each step.
 */
export async function imageFeatures(
  sessions: Sessions,
  images: Images,
  signal?: AbortSignal,
): Promise<Value<'float32'>> {
  signal?.throwIfAborted();
  if (areComputed(images) && images.shape.length === 3) return images;
  const pixelValues = await readPixels(images, sessions.files.processor);
  signal?.throwIfAborted();
  const encode = () => encodePixels(sessions, pixelValues);
  return pixelValues.shape[0] === 1 ? sessions.seen.features(pixelValues, encode) : encode();
}

async function encodePixels(sessions: Sessions, pixelValues: Value<'float32'>): Promise<Value<'float32'>> {
  const size = sizeOf(pixelValues);
  const vision = await sessions.vision(size);
  const { patches, width } = featureShape(sessions.files.encoder, { size, pooling: 1 });
  const [count] = pixelValues.shape as [number];
  const together = sessions.packed ? cachedTogether(patches * width) : count;
  const encoded: Value<'float32'>[] = [];
  for (let i = 0; i < count; i += together) {
    const { image_embeds } = await vision.run(
      { pixel_values: viewRows(pixelValues, i, together) },
      { image_embeds: null },
    );
    encoded.push(floats(image_embeds.shape, toFloat32(image_embeds)));
  }
  return encoded.length === 1 ? encoded[0]! : joinRows(encoded);
}

/** What the image encoder of a model gives of one image. */
export interface FeatureSpace {
  readonly patches: number;
  readonly width: number;
  /** The same for models that give the same numbers: frozen encoders of any number of models. */
  readonly fingerprint: string;
}

export async function featureSpace({ encoder, processor, config, checkpoint }: ModelFiles): Promise<FeatureSpace> {
  const root = 'vision_model.';
  const state = new Map(
    [...checkpoint.entries].flatMap(([name, t]) => (name.startsWith(root) ? [[name.slice(root.length), t]] : [])),
  );
  const { image_feature_pooling: pooling } = config;
  return {
    ...featureShape(encoder, { size: processor.size, pooling }),
    fingerprint: await fingerprint({ encoder, processor, pooling, state }),
  };
}

export const sizeOf = ({ shape }: Value): { height: number; width: number } => ({
  height: shape[2]!,
  width: shape[3]!,
});
