import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError, floatToHalf, halfToFloat, toFloat32, type Value } from '../core/index.ts';
import type { ImageProcessor } from '../image/index.ts';
import type { ImageRecord, Records } from './datasets/index.ts';
import type { ImageSource } from './image-source.ts';
import { Loader } from './loader.ts';

/**
 * Features of a frozen encoder on disk, one file for all images that were ever encoded with these weights and this
 * preprocessing: float16 rows beside a list of keys. A row counts once its key is written, so an interruption costs the
 * row it was at and nothing else. One process at a time may add to a cache.
 */
export class FeatureCache {
  readonly patches: number;
  readonly width: number;
  readonly #rowBytes: number;
  readonly #rows: number;
  readonly #keys: number;
  readonly #index = new Map<string, number>();

  constructor(folder: string, { patches, width }: { patches: number; width: number }) {
    this.patches = patches;
    this.width = width;
    this.#rowBytes = patches * width * 2;
    mkdirSync(folder, { recursive: true });
    const keys = join(folder, 'keys.txt');
    const rows = join(folder, 'features.f16');
    const known = existsSync(keys) ? readFileSync(keys, 'utf8').split('\n').slice(0, -1) : [];
    const whole = existsSync(rows) ? Math.floor(statSync(rows).size / this.#rowBytes) : 0;
    for (const [row, key] of known.slice(0, whole).entries()) this.#index.set(key, row);
    this.#keys = openSync(keys, 'a');
    this.#rows = openSync(rows, existsSync(rows) ? 'r+' : 'w+');
    truncateSync(
      keys,
      known.slice(0, whole).reduce((n, key) => n + key.length + 1, 0),
    );
  }

  get size(): number {
    return this.#index.size;
  }

  has(key: string): boolean {
    return this.#index.has(key);
  }

  /** Adds [n, P, Dv] under n keys. */
  add(keys: readonly string[], features: Value): void {
    const row = this.#index.size;
    const halves = floatToHalf(toFloat32(features));
    writeSync(
      this.#rows,
      new Uint8Array(halves.buffer, halves.byteOffset, halves.byteLength),
      0,
      halves.byteLength,
      row * this.#rowBytes,
    );
    writeSync(this.#keys, keys.map((key) => `${key}\n`).join(''));
    for (const [i, key] of keys.entries()) this.#index.set(key, row + i);
  }

  /** The features of one image, written into `out` at `at`. Throws DataError where the image was never encoded. */
  read(key: string, out: Float32Array, at: number): void {
    const row = this.#index.get(key);
    if (row === undefined) throw new DataError(`the feature cache has no image ${key}`);
    const halves = new Uint16Array(this.patches * this.width);
    readSync(this.#rows, halves, 0, this.#rowBytes, row * this.#rowBytes);
    out.set(halfToFloat(halves), at);
  }

  close(): void {
    closeSync(this.#rows);
    closeSync(this.#keys);
  }
}

/** A name for an image by its content: the bytes of its file, or the description of its scene. */
async function imageKey(source: ImageSource): Promise<string> {
  const hash = createHash('sha256');
  if (source.kind === 'file') hash.update(await readFile(source.path));
  else hash.update(JSON.stringify(source.kind === 'scene' ? source.scene : source));
  return hash.digest('hex').slice(0, 24);
}

export interface CacheOptions {
  readonly processor: ImageProcessor;
  /** pixelValues [B, 3, H, W] -> features [B, P, Dv]; not called where nothing is missing. */
  readonly encode: (pixelValues: Value<'float32'>) => Promise<Value>;
  readonly batchSize?: number;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** Leaves out an image that cannot be used, instead of throwing. */
  readonly onSkip?: ((error: DataError) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Makes sure that the cache holds every image of a dataset. Returns the keys by record, undefined where `onSkip` was told
 * of it. Throws DataError naming an image that cannot be used.
 */
export async function cacheFeatures(
  records: Records<ImageRecord>,
  cache: FeatureCache,
  { processor, encode, batchSize = 16, onProgress, onSkip, signal }: CacheOptions,
): Promise<(string | undefined)[]> {
  const keys: string[] = [];
  for (let i = 0; i < records.length; i++) keys.push(await imageKey(records.record(i).image));
  const seen = new Set<string>();
  const missing = [...keys.keys()].filter((i) => !cache.has(keys[i]!) && !seen.has(keys[i]!) && seen.add(keys[i]!));
  if (missing.length === 0) return keys;

  const keyOf = new Map(missing.map((i) => [records.record(i).id, keys[i]!]));
  const subset: Records<ImageRecord> = { length: missing.length, record: (i) => records.record(missing[i]!) };
  const loader = new Loader(subset, {
    batchSize,
    seed: 0,
    shuffle: false,
    processor,
    ...(onSkip ? { skipBad: true, onSkip } : {}),
  });
  try {
    let done = 0;
    for await (const batch of loader.batches(undefined, { epochs: 1, ...(signal ? { signal } : {}) })) {
      cache.add(
        batch.records.map(({ id }) => keyOf.get(id)!),
        await encode(batch.pixelValues),
      );
      done += batch.records.length;
      onProgress?.(done, missing.length);
    }
  } finally {
    await loader.close();
  }
  return keys.map((key) => (cache.has(key) ? key : undefined));
}
