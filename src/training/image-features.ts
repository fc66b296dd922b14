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
import {
  DataError,
  elements,
  floatToHalf,
  halfToFloat,
  type StoredTensor,
  toFloat32,
  type Value,
} from '../core/index.ts';
import { type ImageSource, type ImageTextRecord, Loader, type Records } from '../data/index.ts';
import { input, type Tensor } from '../graph/index.ts';
import type { ImageProcessor } from '../image/index.ts';
import { type ImageEncoder, poolPatches } from '../models/index.ts';
import { Params } from '../nn/index.ts';
import { compile, type Session, weightsFrom } from '../runtime/index.ts';

/** A frozen image encoder with its weights: what turns pictures into features for the Q-Former. */
export interface FrozenEncoder {
  readonly encoder: ImageEncoder;
  readonly processor: ImageProcessor;
  /** The encoder's state dict, named from its root. */
  readonly state: ReadonlyMap<string, StoredTensor>;
  /** Patches averaged in squares of so many; 1 = none. */
  readonly pooling: number;
}

/** [B, 3, H, W] -> [B, P, Dv], pooled as the Q-Former of this model reads them. */
export function encodeImages(
  p: Params,
  pixelValues: Tensor,
  { encoder, pooling }: Pick<FrozenEncoder, 'encoder' | 'pooling'>,
): Tensor {
  const features = encoder.encode(p, pixelValues);
  return pooling === 1 ? features : poolPatches(features, { factor: pooling });
}

/** P and Dv of the features of one image. */
export function featureShape({ encoder, processor, pooling }: FrozenEncoder): { patches: number; width: number } {
  const grid = [processor.size.height, processor.size.width].map((side) =>
    Math.floor(side / encoder.patchSize / pooling),
  );
  return { patches: 1 + elements(grid), width: encoder.width };
}

/**
 * Features of a frozen encoder on disk, one file for all images that were ever encoded with these weights and this
 * preprocessing: float16 rows beside a list of keys. A row counts once its key is written, so an interruption costs the
 * row it was at and nothing else.
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

/** A name for an encoder with its weights and preprocessing: different numbers, different name. */
export function encoderKey({ encoder, processor, state, pooling }: FrozenEncoder): string {
  const hash = createHash('sha256').update(JSON.stringify([encoder.width, encoder.patchSize, processor, pooling]));
  for (const file of new Set([...state.values()].map((t) => t.file))) hash.update(readFileSync(file));
  return hash.digest('hex').slice(0, 16);
}

/** A name for an image by its content: the bytes of its file, or the description of its scene. */
export async function imageKey(source: ImageSource): Promise<string> {
  const hash = createHash('sha256');
  if (source.kind === 'file') hash.update(await readFile(source.path));
  else hash.update(JSON.stringify(source.kind === 'scene' ? source.scene : source));
  return hash.digest('hex').slice(0, 24);
}

/**
 * Makes sure that the cache holds every image of a dataset. Returns the keys by record.
 * Throws DataError naming an image that cannot be used.
 */
export async function cacheFeatures(
  records: Records,
  cache: FeatureCache,
  frozen: FrozenEncoder,
  {
    batchSize = 16,
    onProgress,
    signal,
  }: { batchSize?: number; onProgress?: (done: number, total: number) => void; signal?: AbortSignal } = {},
): Promise<string[]> {
  const keys: string[] = [];
  for (let i = 0; i < records.length; i++) keys.push(await imageKey(records.record(i).image));
  const seen = new Set<string>();
  const missing = [...keys.keys()].filter((i) => !cache.has(keys[i]!) && !seen.has(keys[i]!) && seen.add(keys[i]!));
  if (missing.length === 0) return keys;

  const session = await compileEncoder(frozen);
  const subset: Records = { length: missing.length, record: (i): ImageTextRecord => records.record(missing[i]!) };
  const loader = new Loader(subset, { batchSize, seed: 0, shuffle: false, processor: frozen.processor });
  try {
    let done = 0;
    for await (const { pixelValues } of loader.batches(undefined, { epochs: 1, ...(signal ? { signal } : {}) })) {
      const { features } = await session.run({ pixelValues });
      const count = pixelValues.shape[0]!;
      cache.add(
        missing.slice(done, done + count).map((i) => keys[i]!),
        features,
      );
      done += count;
      onProgress?.(done, missing.length);
    }
  } finally {
    await loader.close();
    await session.release();
  }
  return keys;
}

/** pixelValues [batch, 3, H, W] -> features [batch, P, Dv]. */
export function compileEncoder(frozen: FrozenEncoder): Promise<Session<'features'>> {
  const { height, width } = frozen.processor.size;
  const pixelValues = input('pixelValues', 'float32', ['batch', 3, height, width]);
  return compile({ features: encodeImages(new Params(), pixelValues, frozen) }, weightsFrom(frozen.state));
}
