import { elements, int64s, type Value, value } from '../core/index.ts';
import type { LanguageModelSizes } from '../models/index.ts';
import type { Feeds, Session } from '../runtime/index.ts';
import { KeyValueCache } from './kv-cache.ts';
import type { Decoding } from './step.ts';

/** What a run of new positions is fed: theirs, and what is the same at every run. */
export interface NewPositions {
  /** int64 [rows, T] */
  inputIds: Value<'int64'>;
  /** int64 [rows, all new positions]: soft prompts count too. */
  attentionMask: Value<'int64'>;
  feeds: Feeds;
}

interface Continuation {
  session: Session<string>;
  sizes: LanguageModelSizes;
  /** Keys and values from before the prompt, all of which count: see Prompt. */
  past?: Readonly<Record<string, Value>> | undefined;
  /** The prompt, or what starts the decoder. */
  first: NewPositions;
  copies: number;
  /** What later runs are fed besides ids, mask and cache. */
  later: Feeds;
}

/** Decoding with a key-value cache: a graph `input_ids, attention_mask, past.* -> logits, present.*` run step by step. */
export class CachedDecoding implements Decoding {
  readonly #session: Session<string>;
  readonly #sizes: LanguageModelSizes;
  readonly #cache: KeyValueCache;
  readonly #later: Feeds;
  /** [rows, V], or [prompts, V] before the first step. */
  #logits: Float32Array;

  private constructor({ session, sizes, later }: Continuation, cache: KeyValueCache, logits: Float32Array) {
    this.#session = session;
    this.#sizes = sizes;
    this.#later = later;
    this.#cache = cache;
    this.#logits = logits;
  }

  /** Runs the prompts, one row each, and then gives each its copies. */
  static async start(continuation: Continuation): Promise<CachedDecoding> {
    const { session, sizes, past, first, copies } = continuation;
    const rows = first.inputIds.shape[0]!;
    const cache = new KeyValueCache(sizes, rows);
    if (past) cache.append(past, ones([rows, Object.values(past)[0]!.shape[2]!]));
    const logits = await run(session, cache, first);
    cache.repeat(copies);
    return new CachedDecoding(continuation, cache, logits);
  }

  get rows(): number {
    return this.#cache.rows;
  }

  scores(row: number): Float32Array {
    const { vocabularySize } = this.#sizes;
    const copies = (this.rows * vocabularySize) / this.#logits.length;
    const start = Math.floor(row / copies) * vocabularySize;
    return this.#logits.slice(start, start + vocabularySize);
  }

  async step(tokens: readonly number[], parents?: readonly number[]): Promise<void> {
    if (parents) this.#cache.reorder(parents);
    const inputIds = int64s([this.rows, 1], tokens);
    const added = { inputIds, attentionMask: ones(inputIds.shape), feeds: this.#later };
    this.#logits = await run(this.#session, this.#cache, added);
  }
}

/** The logits after new positions, whose keys and values are added to the cache. */
async function run(session: Session<string>, cache: KeyValueCache, added: NewPositions): Promise<Float32Array> {
  const { inputIds, attentionMask, feeds } = added;
  const outputs = await session.run({ ...feeds, input_ids: inputIds, ...cache.feeds(attentionMask) });
  cache.append(outputs, attentionMask);
  return outputs.logits!.data as Float32Array;
}

const ones = (shape: readonly number[]): Value<'int64'> =>
  value('int64', shape, new BigInt64Array(elements(shape)).fill(1n));
