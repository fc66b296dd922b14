/**
 * Image files to pixels with PIL's semantics (`Image.open(file).convert('RGB')`), which published models were trained
 * with: colour profiles are ignored, alpha is dropped rather than composited, 16-bit grey is clipped at 255 rather than
 * scaled, an animation gives its first frame, and EXIF rotation is left to the caller.
 */
import { readFile } from 'node:fs/promises';
import sharp, { type Sharp } from 'sharp';
import { DataError } from '../core/index.ts';
import { fillTransparent } from './gif.ts';
import { divide255, type RawImage } from './raw-image.ts';

export interface DecodeOptions {
  /** Keep alpha: RGBA, opaque where the file has none. Default: RGB. */
  readonly alpha?: boolean;
  /** Turn the image as its EXIF orientation says, as transformers' `load_image` does and its processors do not. */
  readonly exifRotate?: boolean;
  /** Refuse images of more pixels. Default: 178,956,970, where PIL suspects a decompression bomb. */
  readonly limitInputPixels?: number;
  /** What errors call an image that is given as bytes. */
  readonly name?: string;
}

/**
 * Decodes a file, or its bytes. Throws DataError, naming the file, where it cannot be read, is empty, is damaged or cut
 * off, is too large, or is no JPEG, PNG, WebP, GIF, TIFF, AVIF or HEIC: above all no SVG, which would be drawn, not decoded.
 */
export async function decodeImage(source: string | Uint8Array, options: DecodeOptions = {}): Promise<RawImage> {
  const name = typeof source === 'string' ? source : (options.name ?? 'image');
  const bytes = typeof source === 'string' ? await readImage(source) : source;
  const format = formatOf(bytes, name);
  const { alpha = false, limitInputPixels = 178_956_970 } = options;
  try {
    if (format === 'HEIC') return await heicPixels(bytes, { alpha, limitInputPixels });
    const autoOrient = options.exifRotate ?? false;
    const input = sharp(bytes, { ignoreIcc: true, failOn: 'error', limitInputPixels, autoOrient });
    if (format === 'GIF' && !alpha) return fillTransparent(await pixelsOf(input, true), bytes);
    return await pixelsOf(input, alpha);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
    throw new DataError(`${name}: expected a whole ${format} image, the decoder says: ${reason}`, { cause });
  }
}

async function readImage(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    const reason = code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder' : String(cause);
    throw new DataError(`${file}: expected an image file, but ${reason}`, { cause });
  }
}

const accepted = {
  JPEG: /^\xff\xd8\xff/,
  PNG: /^\x89PNG\r\n/,
  WebP: /^RIFF.{4}WEBP/s,
  GIF: /^GIF8[79]a/,
  TIFF: /^(II\*\0|MM\0\*)/,
  AVIF: /^.{4}ftypavi[fs]/s,
  HEIC: /^.{4}ftyp(hei[cxms]|hev[cx]|mif1)/s,
};

/** What files of these formats are called: the name without its ending, and the ending. */
export const imageName = /^(.*)\.(jpe?g|png|webp|gif|tiff?|avif|hei[cf])$/i;

/** The format by the file's first bytes. Only these formats reach the decoder, whatever else it could open. */
function formatOf(bytes: Uint8Array, name: string): string {
  const formats = Object.keys(accepted).join(', ');
  if (bytes.length === 0) throw new DataError(`${name}: expected an image (${formats}), found an empty file`);
  const head = String.fromCharCode(...bytes.subarray(0, 16));
  const found = Object.entries(accepted).find(([, magic]) => magic.test(head))?.[0];
  if (found) return found;
  throw new DataError(`${name}: expected an image (${formats}), found something else; convert it to one of these`);
}

/** HEIC, which sharp's own build cannot decode. Its rotation is part of the format and always applied, as libheif does. */
async function heicPixels(
  bytes: Uint8Array,
  { alpha, limitInputPixels }: { alpha: boolean; limitInputPixels: number },
): Promise<RawImage> {
  const { default: heic } = await import('heic-decode');
  const images = await heic.all({ buffer: bytes });
  try {
    const { width, height, decode } = images[0]!;
    if (width * height > limitInputPixels) throw new Error('input image exceeds pixel limit');
    const { data } = await decode();
    const rgba: RawImage = { width, height, channels: 4, data: new Uint8Array(data) };
    return alpha ? rgba : dropAlpha(rgba);
  } finally {
    images.dispose();
  }
}

function dropAlpha({ width, height, data }: RawImage): RawImage {
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) rgb.set(data.subarray(from, from + 3), to);
  return { width, height, channels: 3, data: rgb };
}

async function pixelsOf(input: Sharp, alpha: boolean): Promise<RawImage> {
  const { space, channels } = await input.metadata();
  if (space === 'cmyk') return withAlpha(await cmykToRgb(input), alpha);
  if (space === 'grey16' && channels === 1) return withAlpha(await clipGrey16(input), alpha);
  const rgb = input.toColourspace('srgb');
  const { data, info } = await (alpha ? rgb.ensureAlpha() : rgb.removeAlpha())
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, channels: alpha ? 4 : 3, data: new Uint8Array(data) };
}

/** PIL's CMYK to RGB: each ink takes its share of what black leaves. */
async function cmykToRgb(input: Sharp): Promise<RawImage> {
  const cmyk = input.pipelineColourspace('cmyk').toColourspace('cmyk').raw();
  const { data: inks, info } = await cmyk.toBuffer({ resolveWithObject: true });
  const data = new Uint8Array(info.width * info.height * 3);
  for (let i = 0, to = 0; i < inks.length; i += 4) {
    const light = 255 - inks[i + 3]!;
    for (let c = i; c < i + 3; c++) data[to++] = light - divide255(inks[c]! * light);
  }
  return { width: info.width, height: info.height, channels: 3, data };
}

/** PIL's conversion of mode "I;16", which clips. */
async function clipGrey16(input: Sharp): Promise<RawImage> {
  const { data: bytes, info } = await input
    .toColourspace('grey16')
    .raw({ depth: 'ushort' })
    .toBuffer({ resolveWithObject: true });
  const data = new Uint8Array(info.width * info.height * 3);
  for (let i = 0; i < bytes.length; i += 2)
    data.fill(Math.min(255, bytes.readUInt16LE(i)), (i / 2) * 3, (i / 2) * 3 + 3);
  return { width: info.width, height: info.height, channels: 3, data };
}

function withAlpha(image: RawImage, alpha: boolean): RawImage {
  if (!alpha) return image;
  const data = new Uint8Array(image.width * image.height * 4).fill(255);
  for (let from = 0, to = 0; from < image.data.length; from += 3, to += 4) {
    data.set(image.data.subarray(from, from + 3), to);
  }
  return { ...image, channels: 4, data };
}
