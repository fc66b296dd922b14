import { elements, toFloat32, type Value, value } from '../core/index.ts';
import type { LanguageModelSizes } from '../models/index.ts';
import type { Feeds } from '../runtime/index.ts';
import { layerNames } from './layer-tensors.ts';

/** Capacity grows by so many positions, so that what is written is moved once in as many steps. */
const block = 64;

/**
 * The attention keys and values of all positions so far, [rows, K, capacity, d] each, and which positions are padding.
 * A step writes its own positions in place; slots that nothing was written to are masked.
 */
export class KeyValueCache {
  readonly #sizes: LanguageModelSizes;
  /** By the graph's input, `past.*`. */
  readonly #buffers = new Map<string, Float32Array>();
  #rows: number;
  #length = 0;
  #capacity = 0;
  /** So many first positions are the same in all rows of a prompt. */
  #shared = 0;
  /** By row, 1 = keep, for every position so far. */
  #kept: bigint[][];

  constructor(sizes: LanguageModelSizes, rows: number) {
    this.#sizes = sizes;
    this.#rows = rows;
    this.#kept = Array.from({ length: rows }, () => []);
    for (const name of layerNames('past', sizes.layers)) this.#buffers.set(name, new Float32Array(0));
  }

  get rows(): number {
    return this.#rows;
  }

  /** What a run over new positions is fed besides them. `added` int64 [rows, T] is their mask. */
  feeds(added: Value<'int64'>): Feeds {
    const shape = [this.#rows, this.#sizes.keyValueHeads, this.#capacity, this.#sizes.headWidth];
    const past = [...this.#buffers].map(([name, data]) => [name, value('float32', shape, data)] as const);
    return { ...Object.fromEntries(past), attention_mask: this.#mask(added) };
  }

  /** int64 [rows, capacity + T]. */
  #mask(added: Value<'int64'>): Value<'int64'> {
    const length = added.shape[1]!;
    const width = this.#capacity + length;
    const data = new BigInt64Array(this.#rows * width);
    this.#kept.forEach((kept, row) => {
      data.set(kept, row * width);
      data.set(added.data.subarray(row * length, (row + 1) * length), row * width + this.#capacity);
    });
    return value('int64', [this.#rows, width], data);
  }

  /** Takes the new positions' keys and values from the outputs of a run that was fed `added`. */
  append(outputs: Readonly<Record<string, Value>>, added: Value<'int64'>): void {
    const length = added.shape[1]!;
    this.#reserve(this.#length + length);
    const d = this.#sizes.headWidth;
    const present = layerNames('present', this.#sizes.layers).map((name) => toFloat32(outputs[name]!));
    for (const [i, data] of [...this.#buffers.values()].entries()) {
      const to = { data, stride: this.#capacity * d, at: this.#length * d };
      copyRuns({ data: present[i]!, stride: length * d }, to, length * d);
    }
    this.#kept.forEach((kept, row) => {
      kept.push(...added.data.subarray(row * length, (row + 1) * length));
    });
    this.#length += length;
  }

  #reserve(length: number): void {
    if (length <= this.#capacity) return;
    const { keyValueHeads, headWidth: d } = this.#sizes;
    const capacity = Math.ceil(length / block) * block;
    for (const [name, data] of this.#buffers) {
      const grown = new Float32Array(elements([this.#rows, keyValueHeads, capacity, d]));
      const from = { data, stride: this.#capacity * d };
      if (this.#length > 0) copyRuns(from, { data: grown, stride: capacity * d, at: 0 }, this.#length * d);
      this.#buffers.set(name, grown);
    }
    this.#capacity = capacity;
  }

  /** Every row becomes `copies` rows, side by side, that go their own ways from here on. */
  repeat(copies: number): void {
    this.#shared = this.#length;
    for (const [name, data] of this.#buffers) this.#buffers.set(name, repeatRows(data, this.#rows, copies));
    this.#kept = this.#kept.flatMap((kept) => Array.from({ length: copies }, () => [...kept]));
    this.#rows *= copies;
  }

  /** Row r becomes what row `parents[r]`, of the same prompt, was. Only what was written since the prompt is moved. */
  reorder(parents: readonly number[]): void {
    const { keyValueHeads: heads, headWidth: d } = this.#sizes;
    const moves = parents.flatMap((parent, row) => (parent === row ? [] : [{ parent, row }]));
    const run = (row: number, head: number) => {
      const start = ((row * heads + head) * this.#capacity + this.#shared) * d;
      return [start, start + (this.#length - this.#shared) * d] as const;
    };
    for (const data of this.#buffers.values()) {
      for (let head = 0; head < heads; head++) {
        const sources = moves.map(({ parent }) => data.slice(...run(parent, head))); // before any is overwritten
        for (const [i, { row }] of moves.entries()) data.set(sources[i]!, run(row, head)[0]);
      }
    }
  }
}

interface Runs {
  data: Float32Array;
  /** From one run's start to the next. */
  stride: number;
}

/** Copies the first `size` entries of every run of `from` into the run of `to` with the same number. */
function copyRuns(from: Runs, to: Runs & { at: number }, size: number): void {
  for (let i = 0; i * from.stride < from.data.length; i++) {
    to.data.set(from.data.subarray(i * from.stride, i * from.stride + size), i * to.stride + to.at);
  }
}

/** [rows, …] -> [rows · copies, …], the copies of a row side by side. */
export function repeatRows(data: Float32Array, rows: number, copies: number): Float32Array {
  if (copies === 1) return data;
  const width = data.length / rows;
  const out = new Float32Array(data.length * copies);
  for (let row = 0; row < rows * copies; row++) {
    const source = Math.floor(row / copies) * width;
    out.set(data.subarray(source, source + width), row * width);
  }
  return out;
}
