import type { Value } from '../core/index.ts';
import { type ImageProcessor, normalise, type RawImage, readModelImage, toModelSize } from '../image/index.ts';
import type { Sessions } from './sessions.ts';

/** A picture: a file, the bytes of one, or decoded pixels. */
export type ImageInput = string | Uint8Array | RawImage;

/** Pictures, or `pixelValues` [B, 3, H, W] as an image processor makes them. */
export type Images = readonly ImageInput[] | Value<'float32'>;

/** Pixels as the model sees them. Throws DataError naming the image that cannot be used. */
export async function readPixels(images: Images, p: ImageProcessor): Promise<Value<'float32'>> {
  if ('dtype' in images) return images;
  return normalise(await Promise.all(images.map((image) => readOne(image, p))), p);
}

async function readOne(image: ImageInput, p: ImageProcessor): Promise<RawImage> {
  if (typeof image !== 'string' && !(image instanceof Uint8Array)) return toModelSize(image, p);
  return readModelImage(image, p, { exifRotate: true }); // as transformers' load_image, for pictures from cameras
}

/** What the Q-Former reads of images: image_embeds [B, P, Dv]. */
export async function imageFeatures(sessions: Sessions, images: Images): Promise<Value> {
  const pixelValues = await readPixels(images, sessions.files.processor);
  const vision = await sessions.vision(sizeOf(pixelValues));
  return (await vision.run({ pixel_values: pixelValues }, { image_embeds: null })).image_embeds;
}

export const sizeOf = ({ shape }: Value): { height: number; width: number } => ({
  height: shape[2]!,
  width: shape[3]!,
});
