import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError, type JsonObject, jsonObject } from '../core/index.ts';
import { type DecodeOptions, decodeImage } from './decode.ts';
import { type ImageProcessor, parseImageProcessor, toModelSize } from './processor.ts';
import type { RawImage } from './raw-image.ts';

/** The fields of a model folder's image processor, and what errors call the place they stand in. */
interface ImageProcessorJson {
  readonly json: JsonObject;
  readonly source: string;
}

/**
 * Reads `preprocessor_config.json`, or the `image_processor` in `processor_config.json`, where transformers 5 writes it.
 * Throws ConfigError where neither is there, or the file is wrong.
 */
export async function readImageProcessorJson(folder: string): Promise<ImageProcessorJson> {
  const file = join(folder, 'preprocessor_config.json');
  const whole = join(folder, 'processor_config.json');
  const { image_processor: nested } = existsSync(file) || !existsSync(whole) ? {} : await readObject(whole);
  if (nested === undefined) return { json: await readObject(file), source: file };
  const source = `${whole}: image_processor`;
  return { json: jsonObject(nested, source), source };
}

/** The image processor of a model folder. Throws ConfigError where it is missing or wrong. */
export async function readImageProcessor(folder: string): Promise<ImageProcessor> {
  const { json, source } = await readImageProcessorJson(folder);
  return parseImageProcessor(json, source);
}

async function readObject(file: string): Promise<JsonObject> {
  try {
    return jsonObject(JSON.parse(await readFile(file, 'utf8')), file);
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
