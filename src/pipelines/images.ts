import { fileURLToPath } from 'node:url';
import { floats, joinRows, toFloat32, UsageError, type Value, viewRows } from '../core/index.ts';
import type { GenerationOptions } from '../generation/index.ts';
import { fingerprint } from '../hub/index.ts';
import { type ImageProcessor, normalise, type RawImage, readModelImage, toModelSize } from '../image/index.ts';
import { featureShape } from '../models/index.ts';
import { cachedTogether } from '../runtime/index.ts';
import type { ModelFiles } from './model-files.ts';
import type { Sessions } from './sessions.ts';
import { checkFeatures, checkViews, type ViewOptions, viewsOf } from './views.ts';

/** A picture: a file, by its path or file: URL, the bytes of one, or decoded pixels. */
export type ImageInput = string | URL | Uint8Array | RawImage;

/**
 * Pictures, or `pixelValues` [B, 3, H, W] as an image processor makes them, or `imageEmbeds` [B, P, Dv] as the image
 * encoder does: what is computed once need not be computed again.
 */
export type Images = readonly ImageInput[] | Value<'float32'>;

/** One of these; a value has a batch of one. */
export type OneImage = ImageInput | Value<'float32'>;

/** One image as a batch. Throws UsageError for several, which JavaScript lets pass. */
export function imagesOf(image: OneImage): Images {
  if (Array.isArray(image)) throw new UsageError('image: expected one picture, got a list; give one of it');
  if (!isTensor(image)) return [image];
  const [batch] = image.shape;
  if (batch === 1) return image;
  throw new UsageError(`image: expected one, a tensor [1, …], found [${image.shape.join(', ')}]; give one at a time`);
}

export const isTensor = (images: Images | OneImage): images is Value<'float32'> =>
  typeof images === 'object' && images !== null && 'dtype' in images;

/**
 * Whether images are a tensor and not a list. Throws UsageError for one picture alone, which JavaScript lets pass, for
 * none, and for a tensor of another rank.
 */
function areComputed(images: Images): images is Value<'float32'> {
  if (isTensor(images)) {
    const { shape } = images;
    if ((shape.length === 3 || shape.length === 4) && shape[0]! > 0) return true;
    throw new UsageError(
      `images: expected pixelValues [B, 3, H, W] or imageEmbeds [B, P, Dv], B above 0, found [${shape.join(', ')}]`,
    );
  }
  if (!Array.isArray(images)) {
    throw new UsageError(
      'images: expected a list of pictures or a tensor, got one picture; put it into a list: [picture]',
    );
  }
  if (images.length > 0) return false;
  throw new UsageError('images: expected at least one picture, found an empty list');
}

/**
 * Pixels as the model sees them. Throws DataError naming the image that cannot be used; UsageError as `areComputed`, and
 * for what is no `ImageInput`.
 */
export async function readPixels(images: Images, p: ImageProcessor): Promise<Value<'float32'>> {
  if (areComputed(images)) return images;
  return normalise(await Promise.all(images.map((image) => readOne(image, p))), p);
}

async function readOne(image: ImageInput, p: ImageProcessor): Promise<RawImage> {
  const source = image instanceof URL ? pathOf(image) : image;
  if (typeof source !== 'string' && !(source instanceof Uint8Array)) return toModelSize(checkPixels(source), p);
  return readModelImage(source, p, { exifRotate: true }); // as transformers' load_image, for pictures from cameras
}

function pathOf(url: URL): string {
  if (url.protocol === 'file:') return fileURLToPath(url);
  throw new UsageError(`${url}: expected a file: URL, found ${url.protocol}; fetch the picture, and give its bytes`);
}

/** Throws UsageError for pixels that are not as they say, and for anything else, which JavaScript lets pass. */
function checkPixels(image: RawImage): RawImage {
  if (typeof image !== 'object' || image === null || !(image.data instanceof Uint8Array)) {
    throw new UsageError('image: expected a path, a file: URL, bytes, or pixels {width, height, channels, data}');
  }
  const { width, height, channels, data } = image;
  const isSize = [width, height].every((size) => Number.isInteger(size) && size > 0);
  const found = `${width} x ${height} x ${channels} and ${data.length} bytes`;
  if (isSize && (channels === 3 || channels === 4) && data.length === width * height * channels) return image;
  throw new UsageError(`image: expected pixels of width x height x 3 or 4 channels, a byte each, found ${found}`);
}

/**
 * The features of images about which the language model is to write so many texts each: it is compiled while they are
 * encoded.
 */
export const featuresToWriteAbout = (
  sessions: Sessions,
  images: Images,
  {
    numBeams = 1,
    numReturnSequences = 1,
    views,
  }: Pick<GenerationOptions, 'numBeams' | 'numReturnSequences'> & ViewOptions = {},
): Promise<Value<'float32'>> =>
  imageFeatures(sessions, images, {
    views,
    meanwhile: (count) => sessions.prepareLanguageModel(count * Math.max(numBeams, numReturnSequences)),
  });

/**
 * What the Q-Former reads of images: imageEmbeds [B · views, P, Dv], of a picture that was seen before from memory.
 * `meanwhile` is called with their number when the image encoder has been started. Throws the signal's reason before each
 * step; UsageError as `viewsOf`.
 */
export async function imageFeatures(
  sessions: Sessions,
  images: Images,
  {
    signal,
    meanwhile,
    views = 1,
  }: ViewOptions & { signal?: AbortSignal | undefined; meanwhile?: (images: number) => void } = {},
): Promise<Value<'float32'>> {
  signal?.throwIfAborted();
  checkViews(views);
  if (areComputed(images) && images.shape.length === 3) return checkFeatures(images, views);
  const { processor, encoder } = sessions.files;
  const pixelValues = viewsOf(await readPixels(images, processor), { views, patchSize: encoder.patchSize });
  signal?.throwIfAborted();
  const encode = () => encodePixels(sessions, pixelValues, meanwhile);
  return pixelValues.shape[0] === 1 ? sessions.seen.features(pixelValues, encode) : encode();
}

async function encodePixels(
  sessions: Sessions,
  pixelValues: Value<'float32'>,
  meanwhile: (images: number) => void = () => {},
): Promise<Value<'float32'>> {
  const size = sizeOf(pixelValues);
  const vision = await sessions.vision(size);
  const { patches, width } = featureShape(sessions.files.encoder, { size, pooling: 1 });
  const [count] = pixelValues.shape as [number];
  const together = sessions.packed ? cachedTogether(patches * width) : count;
  const runs = Array.from({ length: Math.ceil(count / together) }, (_, i) =>
    vision.run({ pixel_values: viewRows(pixelValues, i * together, together) }, { image_embeds: null }),
  );
  meanwhile(count);
  const encoded = (await Promise.all(runs)).map(({ image_embeds }) =>
    floats(image_embeds.shape, toFloat32(image_embeds)),
  );
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
