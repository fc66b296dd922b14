import sharp from 'sharp';
import type { RawImage } from './raw-image.ts';

/** A picture as a WebP `data:` URL, to stand in a page: at most `width` pixels wide, or lossless at its own size. */
export async function webpDataUrl(image: RawImage, width?: number): Promise<string> {
  const { data, ...raw } = image;
  const picture = sharp(data, { raw }).resize({ width: width ?? image.width, withoutEnlargement: true });
  const bytes = await picture.webp(width === undefined ? { lossless: true } : { quality: 80 }).toBuffer();
  return `data:image/webp;base64,${bytes.toString('base64')}`;
}
