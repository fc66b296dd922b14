import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  writeSync,
} from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError, floatToHalf, halfToFloat, toFloat32, type Value } from '../core/index.ts';
import { type LockOptions, withLock } from '../hub/index.ts';
import type { ImageProcessor } from '../image/index.ts';
import type { ImageRecord, Records } from './datasets/index.ts';
import type { ImageSource } from './image-source.ts';
import { Loader } from './loader.ts';

/** Adds features [n, P, Dv] under n keys. */
type Add = (keys: readonly string[], features: Value) => void;

/**
 * Features of a frozen encoder on disk, one file for all images that were ever encoded with these weights and this
 * preprocessing: float16 rows beside a list of keys. A row counts once its key is written, so an interruption costs the
 * row it was at and nothing else. Any number of processes may use a cache; one at a time adds to it.
 */
export class FeatureCache {
  readonly patches: number;
  readonly width: number;
  readonly #folder: string;
  readonly #rowBytes: number;
  readonly #rows: number;
  readonly #keys: number;
  #index: Map<string, number>;

  constructor(folder: string, { patches, width }: { patches: number; width: number }) {
    this.patches = patches;
    this.width = width;
    this.#folder = folder;
    this.#rowBytes = patches * width * 2;
    mkdirSync(folder, { recursive: true });
    this.#rows = openSync(join(folder, 'features.f16'), constants.O_RDWR | constants.O_CREAT);
    this.#keys = openSync(this.#keyFile, 'a');
    this.#index = indexOf(this.#wholeKeys());
  }

  get #keyFile(): string {
    return join(this.#folder, 'keys.txt');
  }

  get size(): number {
    return this.#index.size;
  }

  has(key: string): boolean {
    return this.#index.has(key);
  }

  /**
   * Lets `body` add features. Waits while another process adds, of which `onWait` is told in one line, and knows then what
   * that one has added.
   */
  async fill(
    body: (add: Add) => Promise<void>,
    { signal, onWait }: Pick<LockOptions, 'signal'> & { onWait?: ((text: string) => void) | undefined } = {},
  ): Promise<void> {
    const fill = async () => {
      const keys = this.#wholeKeys();
      ftruncateSync(this.#keys, keys.join('').length + keys.length); // what an interruption left
      this.#index = indexOf(keys);
      let next = keys.length;
      await body((added, features) => {
        this.#write(next, added, features);
        next += added.length;
      });
    };
    await withLock(join(this.#folder, 'lock'), fill, {
      signal,
      onWait: () => onWait?.(`${this.#folder}: waiting for another process, which encodes images`),
    });
  }

  #write(row: number, keys: readonly string[], features: Value): void {
    const { buffer, byteOffset, byteLength } = floatToHalf(toFloat32(features));
    writeSync(this.#rows, new Uint8Array(buffer, byteOffset, byteLength), 0, byteLength, row * this.#rowBytes);
    writeSync(this.#keys, keys.map((key) => `${key}\n`).join(''));
    for (const [i, key] of keys.entries()) this.#index.set(key, row + i);
  }

  /** The keys, in the order of rows, that are wholly written and have a row. */
  #wholeKeys(): string[] {
    const keys = readFileSync(this.#keyFile, 'utf8').split('\n').slice(0, -1);
    return keys.slice(0, Math.floor(fstatSync(this.#rows).size / this.#rowBytes));
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

const indexOf = (keys: readonly string[]) => new Map(keys.map((key, row) => [key, row]));

/** What tells one version of a file from another, by its path: asked once, and not for each picture that is made of it. */
type Versions = Map<string, Promise<string>>;

/**
 * A name for an image by its content: the bytes of its file, its place in a shard of this size and age, or the
 * description of its scene and the bytes of the cut-outs that the scene is made of.
 */
async function imageKey(source: ImageSource, versions: Versions): Promise<string> {
  const hash = createHash('sha256');
  if (source.kind === 'file') hash.update(await readFile(source.path));
  else hash.update(JSON.stringify(descriptionOf(source)));
  for (const [path, versionOf] of partsOf(source)) {
    const version = versions.get(path) ?? versionOf(path);
    versions.set(path, version);
    hash.update(await version);
  }
  return hash.digest('hex').slice(0, 24);
}

/** Of a scene, what is drawn and not what is said of it. */
function descriptionOf(source: ImageSource): unknown {
  if (source.kind !== 'scene') return source;
  const { size, background, objects } = source.scene;
  return { size, background, objects: objects.map(({ flip, boxes }) => ({ flip, boxes })) };
}

/** The files that hold more or less than this image, and what tells their versions apart. */
function partsOf(source: ImageSource): (readonly [path: string, versionOf: (path: string) => Promise<string>])[] {
  if (source.kind === 'scene') {
    return source.scene.objects.map(({ picture }) => [join(source.folder, picture.image), contentOf]);
  }
  return source.kind === 'tar' || source.kind === 'parquet' ? [[source.path, sizeAndAgeOf]] : [];
}

/** Of a cut-out, which is small: so a copy of the data set finds what the original has encoded. */
const contentOf = async (path: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(path).catch(missing))
    .digest('hex');

/** Of a shard, which may be gigabytes. */
async function sizeAndAgeOf(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  return JSON.stringify([found?.size, found?.mtimeMs]);
}

/** A file that is missing has no bytes: whoever decodes the image names it. */
const missing = () => '';

export interface CacheOptions {
  readonly processor: ImageProcessor;
  /** pixelValues [B, 3, H, W] -> features [B, P, Dv]; not called where nothing is missing. */
  readonly encode: (pixelValues: Value<'float32'>) => Promise<Value>;
  readonly batchSize?: number;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** Leaves out an image that cannot be used, instead of throwing. */
  readonly onSkip?: ((error: DataError) => void) | undefined;
  /** Told in one line that another process has to finish first. */
  readonly onWait?: ((text: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Makes sure that the cache holds every image of a dataset. Returns the keys by record, undefined where `onSkip` was told
 * of it. Throws DataError naming an image that cannot be used.
 */
export async function cacheFeatures(
  records: Records<ImageRecord>,
  cache: FeatureCache,
  options: CacheOptions,
): Promise<(string | undefined)[]> {
  const keys: string[] = [];
  const versions: Versions = new Map();
  for (let i = 0; i < records.length; i++) keys.push(await imageKey(records.record(i).image, versions));
  if (keys.every((key) => cache.has(key))) return keys;
  const { signal, onWait } = options;
  await cache.fill((add) => encodeMissing(records, { keys, cache, add }, options), { signal, onWait });
  return keys.map((key) => (cache.has(key) ? key : undefined));
}

async function encodeMissing(
  records: Records<ImageRecord>,
  { keys, cache, add }: { keys: readonly string[]; cache: FeatureCache; add: Add },
  { processor, encode, batchSize = 16, onProgress, onSkip, signal }: CacheOptions,
): Promise<void> {
  const seen = new Set<string>();
  const missing = [...keys.keys()].filter((i) => !cache.has(keys[i]!) && !seen.has(keys[i]!) && seen.add(keys[i]!));
  if (missing.length === 0) return;

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
      add(
        batch.indices.map((i) => keys[missing[i]!]!),
        await encode(batch.pixelValues),
      );
      done += batch.records.length;
      onProgress?.(done, missing.length);
    }
  } finally {
    await loader.close();
  }
}
