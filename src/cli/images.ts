import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join, normalize, sep } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { DataError, UsageError } from '../core/index.ts';
import { DecodePool, type ImageSource, loadImage } from '../data/index.ts';
import { type ImageProcessor, imageName, type RawImage } from '../image/index.ts';
import { standardInput } from './interrupt.ts';

/**
 * The images that arguments stand for, in order: files as they are, folders with all images below them, patterns with
 * `*`, `**` and `?` for shells that do not expand them, and `-` for an image on standard input. As in shells, what begins
 * with a dot is left out of folders, and links to folders are not followed. Throws UsageError where a folder or a pattern
 * holds none, DataError naming a folder that cannot be read.
 */
export async function expandImages(paths: readonly string[]): Promise<string[]> {
  const expanded = await Promise.all(paths.map(expandOne));
  return [...new Set(expanded.flat())];
}

async function expandOne(path: string): Promise<string[]> {
  const found = await stat(path).catch(() => undefined);
  const isPattern = !found && /[*?]/.test(path);
  if (!found?.isDirectory() && !isPattern) return [path]; // a missing file is reported when it is read
  const images = isPattern ? await matching(normalize(path).replaceAll(sep, '/')) : await imagesBelow(path);
  if (images.length > 0) return images.sort();
  throw new UsageError(`${path}: expected images, found none`);
}

/** The images in a folder and in so many levels of folders below it. */
async function imagesBelow(folder: string, levels = Infinity): Promise<string[]> {
  const entries = (await entriesOf(folder)).filter(({ name }) => !name.startsWith('.'));
  const images: string[] = [];
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (levels > 0) images.push(...(await imagesBelow(path, levels - 1)));
    } else if (imageName.test(entry.name) && (await isFile(entry, path))) images.push(path);
  }
  return images;
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (cause) {
    throw new DataError(`${folder}: expected a folder to find images in, but ${String(cause)}; name others`, { cause });
  }
}

/** Whether it is a file or a link to one: no folder, no pipe, which would be waited for. */
async function isFile(entry: Dirent, path: string): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isFile();
  const target = await stat(path).catch(() => undefined);
  return target?.isFile() ?? false;
}

async function matching(pattern: string): Promise<string[]> {
  const parts = pattern.split('/');
  const first = parts.findIndex((part) => /[*?]/.test(part));
  const fixed = parts.slice(0, first).join('/');
  const root = fixed === '' ? (pattern.startsWith('/') ? '/' : '.') : fixed;
  const found = await stat(root).catch(() => undefined);
  if (!found?.isDirectory()) return [];
  const expression = patternExpression(pattern);
  const levels = pattern.includes('**') ? Infinity : parts.length - 1 - first; // deeper folders cannot match
  return (await imagesBelow(root, levels)).filter((file) => expression.test(file.replaceAll(sep, '/')));
}

function patternExpression(pattern: string): RegExp {
  const source = pattern
    .split('**/')
    .map((part) =>
      part
        .replace(/[.+^${}()|[\]\\]/g, '\\$&')
        .replaceAll('*', '[^/]*')
        .replaceAll('?', '[^/]'),
    )
    .join('(?:.*/)?');
  return new RegExp(`^${source}$`);
}

/** A path as an image that the library takes: `-` is what comes on standard input. */
export const imageInput = async (path: string): Promise<string | Uint8Array> =>
  path === '-' ? new Uint8Array(await buffer(standardInput())) : path;

/** An image as a model sees it, or what is wrong with it. */
export type DecodedImage = { readonly image: string } & ({ readonly pixels: RawImage } | { readonly error: Error });

/**
 * Images in their order, decoded by threads while whoever takes them computes; so many are ready, or in work, ahead of
 * the one that is taken. No more than these are decoded here, because threads take longer to start.
 */
export async function* decodeImages(
  images: readonly string[],
  { processor, ahead }: { processor: ImageProcessor; ahead: number },
): AsyncGenerator<DecodedImage, void> {
  const settings = { processor, seed: 0, exifRotate: true };
  const pool = images.length > ahead ? new DecodePool(settings, decodingThreads) : undefined;
  const load = (source: ImageSource) => pool?.load(source) ?? loadImage(source, processor, settings);
  const inWork: Promise<DecodedImage>[] = [];
  try {
    for (const image of images) {
      inWork.push(decode(image, load));
      if (inWork.length > ahead) yield await inWork.shift()!;
    }
    for (const decoded of inWork) yield await decoded;
  } finally {
    await pool?.close();
  }
}

/** Decoding takes little beside what it is done for: one core, and not many where there are many. */
const decodingThreads = Math.max(1, Math.min(4, availableParallelism() - 1));

async function decode(image: string, load: (source: ImageSource) => Promise<RawImage>): Promise<DecodedImage> {
  try {
    const input = await imageInput(image);
    const isPath = typeof input === 'string';
    const pixels = await load(isPath ? { kind: 'file', path: input } : { kind: 'bytes', name: image, bytes: input });
    return { image, pixels };
  } catch (error) {
    return { image, error: error instanceof Error ? error : new Error(String(error)) };
  }
}
