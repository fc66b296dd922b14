import { createHash } from 'node:crypto';
import type { Value } from '../core/index.ts';

/** Questions come about one picture again and again, or about a few in turn. */
const remembered = 8;

type Features = Value<'float32'>;
type Queries = Record<string, Value>;

/**
 * What a model made of the last pictures that it saw alone, by the content of their pixels: their features, and what the
 * queries read of them, the soft prompts among it. A further question about one costs a hash. These values are shared:
 * whoever hands them out copies them.
 */
export class SeenImages {
  readonly #features = new Map<string, Promise<Features>>();
  /** By the prompt that they read beside the picture, empty where none: the last one alone, for prompts are without end. */
  readonly #queries = new WeakMap<Value, { readonly prompt: string; readonly read: Promise<Queries> } | undefined>();

  /** The features of one picture, `pixelValues` [1, 3, H, W], from memory or from `encode`. */
  features(pixelValues: Features, encode: () => Promise<Features>): Promise<Features> {
    const { shape, data } = pixelValues;
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const key = createHash('sha256').update(JSON.stringify(shape)).update(bytes).digest('base64');
    const features = this.#features.get(key) ?? this.#watched(encode());
    this.#features.delete(key);
    this.#features.set(key, features); // as the newest
    features.catch(() => this.#features.delete(key));
    if (this.#features.size > remembered) this.#features.delete(this.#features.keys().next().value!);
    return features;
  }

  async #watched(encoding: Promise<Features>): Promise<Features> {
    const features = await encoding;
    this.#queries.set(features, undefined);
    return features;
  }

  /** What the queries read of these features beside a prompt; only that of remembered features is remembered. */
  queries(features: Value, prompt: string, read: () => Promise<Queries>): Promise<Queries> {
    if (!this.#queries.has(features)) return read();
    const last = this.#queries.get(features);
    if (last?.prompt === prompt) return last.read;
    const reading = read();
    this.#queries.set(features, { prompt, read: reading });
    reading.catch(() => this.#queries.set(features, undefined));
    return reading;
  }

  clear(): void {
    this.#features.clear();
  }
}
