import { elements, type Value, value } from '../core/index.ts';
import type { LanguageModelSizes } from '../models/index.ts';
import type { Feeds } from '../runtime/index.ts';

/** Capacity grows by so many positions at a time, so that what is written is moved once in as many steps. */
const block = 64;

/** A graph's cache inputs and outputs, in this order for every layer. */
const parts = ['key', 'value'] as const;
export const pastName = (layer: number, part: (typeof parts)[number]) => `past.${layer}.${part}`;
export const presentName = (layer: number, part: (typeof parts)[number]) => `present.${layer}.${part}`;

/**
 * Attention keys and values of all positions so far, [rows, K, capacity, d] for every layer, and which of them are
 * padding. A step appends its own positions in place; slots beyond `length` are masked.
 */
export class KeyValueCache {
  readonly #sizes: LanguageModelSizes;
  #rows: number;
  #length = 0;
  #capacity = 0;
  /** The first so many positions are the same in all rows of a prompt. */
  #shared = 0;
  #buffers = new Map<string, Float32Array>();
  /** [rows, capacity], 1 = keep. */
  #kept: BigInt64Array;

  constructor(sizes: LanguageModelSizes, rows: number) {
    this.#sizes = sizes;
    this.#rows = rows;
    this.#kept = new BigInt64Array(0);
    for (const { past } of this.#names()) this.#buffers.set(past, new Float32Array(0));
  }

  get rows(): number {
    return this.#rows;
  }

  /** The cache's inputs of a run over new positions, whose mask is `added` int64 [rows, T]. */
  feeds(added: Value<'int64'>): Feeds {
    const { keyValueHeads, headWidth } = this.#sizes;
    const shape = [this.#rows, keyValueHeads, this.#capacity, headWidth];
    const past = [...this.#buffers].map(([name, data]) => [name, value('float32', shape, data)] as const);
    return { ...Object.fromEntries(past), attention_mask: this.#maskWith(added) };
  }

  /** Takes the keys and values of a run's new positions from its outputs. */
  append(outputs: Readonly<Record<string, Value>>, added: Value<'int64'>): void {
    const length = added.shape[1]!;
    this.#reserve(this.#length + length);
    for (const { past, present } of this.#names()) {
      const source = outputs[present]!.data as Float32Array;
      copyRows(source, this.#buffers.get(past)!, this.#spans(length, this.#capacity));
    }
    for (let row = 0; row < this.#rows; row++) {
      const kept = added.data.subarray(row * length, (row + 1) * length);
      this.#kept.set(kept, row * this.#capacity + this.#length);
    }
    this.#length += length;
  }

  /** Every row `copies` times, one beside the other: from here on they go their own ways. */
  repeat(copies: number): void {
    this.#shared = this.#length;
    if (copies === 1) return;
    for (const [name, data] of this.#buffers) this.#buffers.set(name, repeatRows(data, this.#rows, copies));
    this.#kept = repeatRows(this.#kept, this.#rows, copies);
    this.#rows *= copies;
  }

  /** Row r becomes what row `parents[r]`, of the same prompt, was: only what was written since the prompt is moved. */
  reorder(parents: readonly number[]): void {
    const { keyValueHeads: heads, headWidth } = this.#sizes;
    const moves = parents.flatMap((parent, row) => (parent === row ? [] : [{ parent, row }]));
    const start = (row: number, head: number) => ((row * heads + head) * this.#capacity + this.#shared) * headWidth;
    const size = (this.#length - this.#shared) * headWidth;
    for (const buffer of this.#buffers.values()) {
      const rowsOf = ({ parent }: { parent: number }) =>
        Array.from({ length: heads }, (_, head) => buffer.slice(start(parent, head), start(parent, head) + size));
      const sources = moves.map(rowsOf);
      moves.forEach(({ row }, i) => {
        for (const [head, source] of sources[i]!.entries()) buffer.set(source, start(row, head));
      });
    }
  }

  /** Makes room for so many positions. */
  #reserve(length: number): void {
    if (length <= this.#capacity) return;
    const capacity = Math.ceil(length / block) * block;
    const { keyValueHeads, headWidth } = this.#sizes;
    for (const [name, old] of this.#buffers) {
      const grown = new Float32Array(elements([this.#rows, keyValueHeads, capacity, headWidth]));
      ...
    }
  }
}
