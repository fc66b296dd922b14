import { int64s, type Value, value } from '../core/index.ts';
import type { LanguageModelSizes } from '../models/index.ts';
import type { Feeds, Session } from '../runtime/index.ts';
import { KeyValueCache } from './kv-cache.ts';
import type { Decoding } from './step.ts';

/** The text that decoding starts with: the prompt, or what starts the decoder. */
export interface FirstText {
  /** int64 [prompts, T] */
  inputIds: Value<'int64'>;
  /** int64 [prompts, all its positions]: soft prompts count too. */
  attentionMask: Value<'int64'>;
  feeds: Feeds;
}

interface Continuation {
  session: Session<string>;
  sizes: LanguageModelSizes;
  /** Keys and values from before the prompt, all of which count: see Prompt. */
  past?: Readonly<Record<string, Value>> | undefined;
  first: FirstText;
  copies: number;
  /** What later runs are fed besides ids, mask and cache. */
  later: Feeds;
}

/**
 * Decoding with a key-value cache: a graph `input_ids, attention_mask, read, past.* -> logits, present.*` run step by
 * step. The rows that go on from one prompt are new positions of one sequence, which see different parts of it.
 */
export class CachedDecoding implements Decoding {
  readonly #session: Session<string>;
  readonly #sizes: LanguageModelSizes;
  readonly #cache: KeyValueCache;
  readonly #prompts: number;
  readonly #later: Feeds;
  /** [rows, V], or [prompts, V] before the first step. */
  #logits: Float32Array;

  private constructor({ session, sizes, first, later }: Continuation, cache: KeyValueCache, logits: Float32Array) {
    this.#session = session;
    this.#sizes = sizes;
    this.#prompts = first.inputIds.shape[0]!;
    this.#later = later;
    this.#cache = cache;
    this.#logits = logits;
  }

  /** Runs the prompts, one row each, and then gives each its copies. */
  static async start(continuation: Continuation): Promise<CachedDecoding> {
    const { session, sizes, past, first, copies } = continuation;
    const { inputIds, attentionMask, feeds } = first;
    const [prompts, length] = attentionMask.shape as [number, number];
    const cache = new KeyValueCache(sizes, prompts);
    if (past) cache.appendText(past, ones([prompts, Object.values(past)[0]!.shape[2]!]));
    const read = Array.from({ length: prompts }, (_, b) => (b + 1) * length - 1); // the last position of each
    const outputs = await session.run({
      ...feeds,
      input_ids: inputIds,
      read: int64s([prompts], read),
      ...cache.textFeeds(attentionMask),
    });
    cache.appendText(outputs, attentionMask);
    cache.branch(copies);
    return new CachedDecoding(continuation, cache, logitsOf(outputs));
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
    const outputs = await this.#session.run({
      ...this.#later,
      input_ids: int64s([this.#prompts, this.rows / this.#prompts], tokens),
      read: int64s([this.rows], [...tokens.keys()]),
      ...this.#cache.stepFeeds(),
    });
    this.#cache.appendStep(outputs);
    this.#logits = logitsOf(outputs);
  }
}

const logitsOf = ({ logits }: Readonly<Record<string, Value>>): Float32Array => logits!.data as Float32Array;

const ones = ([rows, length]: readonly [number, number]): Value<'int64'> =>
  value('int64', [rows, length], new BigInt64Array(rows * length).fill(1n));
