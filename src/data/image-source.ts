import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError, type Random } from '../core/index.ts';
import {
  augment,
  decodeImage,
  fitPicture,
  type ImageProcessor,
  type RawImage,
  resize,
  toModelSize,
} from '../image/index.ts';
import { readParquetImage } from './parquet-file.ts';
import { renderScene, type Scene } from './scenes/index.ts';

/** Where an image's pixels come from; plain data, so that it can be sent to a worker thread. */
export type ImageSource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'bytes'; readonly name: string; readonly bytes: Uint8Array }
  | {
      readonly kind: 'tar';
      readonly path: string;
      readonly member: string;
      /** The member's bytes in the shard. */
      readonly offset: number;
      readonly size: number;
    }
  | { readonly kind: 'parquet'; readonly path: string; readonly column: string; readonly row: number }
  | { readonly kind: 'scene'; readonly folder: string; readonly scene: Scene };

/** What errors call the image. */
export function nameOf(source: ImageSource): string {
  if (source.kind === 'scene') return `the scene "${source.scene.caption}"`;
  if (source.kind === 'parquet') return `${source.path}: row ${source.row}`;
  if (source.kind === 'bytes') return source.name;
  return source.kind === 'file' ? source.path : `${source.path}: ${source.member}`;
}

export interface LoadImageOptions {
  /** Draws to augment with; none: no augmentation. */
  readonly random?: Random | undefined;
  /** Turn pictures as their EXIF orientation says. Default: false, as LAVIS reads what it trains with. */
  readonly exifRotate?: boolean | undefined;
}

/**
 * The 8-bit RGB image that the model sees. With `random`, pictures are augmented as LAVIS does it (a random resized crop,
 * mirrored half of the time); scenes never, because a mirror makes their captions false and they vary anyway. Throws
 * DataError naming the image.
 */
export async function loadImage(
  source: ImageSource,
  p: ImageProcessor,
  { random, exifRotate = false }: LoadImageOptions = {},
): Promise<RawImage> {
  if (source.kind === 'scene') {
    const { folder, scene } = source;
    const picture = await renderScene(scene, (image) => decodeImage(join(folder, image), { alpha: true }));
    return picture.width === p.size.width && picture.height === p.size.height ? picture : resize(picture, p.size);
  }
  const image = await decodeImage(await encodedImage(source), { alpha: p.fit, exifRotate, name: nameOf(source) });
  if (random === undefined) return toModelSize(image, p);
  return augment(p.fit ? fitPicture(image, p.size.width) : image, random, p.size);
}

/** A picture's file: where it is, or its bytes. */
function encodedImage(source: Exclude<ImageSource, { kind: 'scene' }>): string | Promise<Uint8Array> {
  if (source.kind === 'file') return source.path;
  if (source.kind === 'bytes') return Promise.resolve(source.bytes);
  return source.kind === 'tar' ? readMember(source) : readParquetImage(source.path, source.column, source.row);
}

async function readMember(source: Extract<ImageSource, { kind: 'tar' }>): Promise<Uint8Array> {
  const file = await open(source.path);
  try {
    const bytes = new Uint8Array(source.size);
    const { bytesRead } = await file.read(bytes, 0, source.size, source.offset);
    if (bytesRead === source.size) return bytes;
    throw new DataError(`${nameOf(source)}: expected ${source.size} bytes, found ${bytesRead}: the shard has changed`);
  } finally {
    await file.close();
  }
}
