import { int64s, type Value, value, viewRows } from '../core/index.ts';
import type { LanguageModelSizes } from '../models/index.ts';
import { cachedTogether, type Feeds, type Session } from '../runtime/index.ts';
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
  /** See LanguageModelWeights. */
  packed?: boolean;
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
    const { sizes, past, first, copies } = continuation;
    const prompts = first.inputIds.shape[0]!;
    const cache = new KeyValueCache(sizes, prompts);
    if (past) cache.appendText(past, ones([prompts, Object.values(past)[0]!.shape[2]!]));
    const logits = await (past ? readOn : readFirst)(continuation, cache);
    cache.branch(copies);
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

/** Reads the text of every prompt after what the cache holds of it; the logits [prompts, V] of the last position. */
async function readOn({ session, first }: Continuation, cache: KeyValueCache): Promise<Float32Array> {
  const { inputIds, attentionMask, feeds } = first;
  const read = lastPositions(attentionMask.shape);
  const outputs = await session.run({ ...feeds, input_ids: inputIds, read, ...cache.textFeeds(attentionMask) });
  cache.appendText(outputs, attentionMask);
  return logitsOf(outputs);
}

/** The same where the cache is empty: keys and values are written where it keeps them, of some prompts after others. */
async function readFirst({ session, sizes, first, packed }: Continuation, cache: KeyValueCache): Promise<Float32Array> {
  const { inputIds, attentionMask } = first;
  const [prompts, length] = attentionMask.shape as [number, number];
  const { feeds, fetches } = cache.firstText(attentionMask);
  const whole = { ...first.feeds, input_ids: inputIds, ...feeds };
  const logits = new Float32Array(prompts * sizes.vocabularySize);
  const together = packed ? cachedTogether(length * sizes.width) : prompts;
  for (let start = 0; start < prompts; start += together) {
    const some = (values: Readonly<Record<string, Value>>): Record<string, Value> =>
      Object.fromEntries(Object.entries(values).map(([name, v]) => [name, viewRows(v, start, together)]));
    const rows = Math.min(together, prompts - start);
    const fed = { ...some(whole), read: lastPositions([rows, length]) };
    const outputs = await session.run(fed, { ...some(fetches), logits: null });
    logits.set(logitsOf(outputs), start * sizes.vocabularySize);
  }
  return logits;
}

/** Where each row's last position is, counted through the batch. */
const lastPositions = ([rows, length]: readonly number[]): Value<'int64'> =>
  int64s(
    [rows!],
    Array.from({ length: rows! }, (_, row) => (row + 1) * length! - 1),
  );

const logitsOf = ({ logits }: Readonly<Record<string, Value>>): Float32Array => logits!.data as Float32Array;

const ones = ([rows, length]: readonly [number, number]): Value<'int64'> =>
  value('int64', [rows, length], new BigInt64Array(rows * length).fill(1n));
