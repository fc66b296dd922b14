import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError } from '../core/index.ts';
import { type DecodeOptions, decodeImage } from './decode.ts';
import { type ImageProcessor, parseImageProcessor, toModelSize } from './processor.ts';
import type { RawImage } from './raw-image.ts';

/** The image processor of a model folder. Throws ConfigError where `preprocessor_config.json` is missing or wrong. */
export async function readImageProcessor(folder: string): Promise<ImageProcessor> {
  const file = join(folder, 'preprocessor_config.json');
  try {
    return parseImageProcessor(JSON.parse(await readFile(file, 'utf8')), file);
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause;
    throw new ConfigError(`${file}: expected a JSON file, but ${String(cause)}`, { cause });
  }
}

/** A file, or its bytes, as the 8-bit RGB image that the model sees. Throws DataError as `decodeImage` does. */
export async function readModelImage(
  source: string | Uint8Array,
  p: ImageProcessor,
  options: Omit<DecodeOptions, 'alpha'> = {},
): Promise<RawImage> {
  return toModelSize(await decodeImage(source, { ...options, alpha: p.fit }), p);
}
