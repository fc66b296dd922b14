import { elements, toFloat32, type Value, value } from '../core/index.ts';
import type { LanguageModelSizes } from '../models/index.ts';
import type { Feeds } from '../runtime/index.ts';
import { layerNames } from './layer-tensors.ts';

/** Capacity grows by so many positions, so that what is written is moved once in as many steps. */
const block = 64;

/**
 * The attention keys and values of all positions so far, [prompts, K, capacity, d] each. The rows that go on from a prompt
 * share its buffers: each is the list of the slots that it sees, so that a prompt is kept and read once for all of its
 * beams, and no key or value ever moves when they change places. A step writes its own positions in place; slots that
 * nothing was written to are seen by no one.
 */
export class KeyValueCache {
  readonly #sizes: LanguageModelSizes;
  readonly #prompts: number;
  /** By the graph's input, `past.*`. */
  readonly #buffers = new Map<string, Float32Array>();
  #length = 0;
  #capacity = 0;
  /** By row, the slots that it sees, as they were written. The rows of a prompt stand side by side. */
  #seen: readonly (readonly number[])[];

  constructor(sizes: LanguageModelSizes, prompts: number) {
    this.#sizes = sizes;
    this.#prompts = prompts;
    this.#seen = Array.from({ length: prompts }, () => []);
    for (const name of layerNames('past', sizes.layers)) this.#buffers.set(name, new Float32Array(0));
  }

  get rows(): number {
    return this.#seen.length;
  }

  /**
   * What a run over a text is fed besides it; `mask` int64 [prompts, T], 1 = keep. A position sees what is kept up to
   * itself.
   */
  textFeeds(mask: Value<'int64'>): Feeds {
    const length = mask.shape[1]!;
    const added = keptOf(mask);
    return this.#feeds(length, (prompt, t) => [
      ...this.#seen[prompt]!,
      ...added[prompt]!.filter((i) => i <= t).map((i) => this.#capacity + i),
    ]);
  }

  /**
   * What a run over the first text of all prompts is fed besides it, and where it writes: what is then kept. A run may be
   * over some of the prompts, with their rows of these.
   */
  firstText(mask: Value<'int64'>): { feeds: Feeds; fetches: Record<string, Value> } {
    const length = mask.shape[1]!;
    const feeds = this.textFeeds(mask);
    this.#length = length;
    this.#seen = keptOf(mask);
    this.#reserve(length);
    const buffers = [...this.#buffers.values()].map((data) => value('float32', this.#shapeOf(this.#capacity), data));
    const present = layerNames('present', this.#sizes.layers);
    return {
      feeds: { ...feeds, spare: this.#zeros(this.#capacity - length) },
      fetches: Object.fromEntries(present.map((name, i) => [name, buffers[i]!])),
    };
  }

  #shapeOf(length: number): number[] {
    return [this.#prompts, this.#sizes.keyValueHeads, length, this.#sizes.headWidth];
  }

  #zeros(length: number): Value<'float32'> {
    const shape = this.#shapeOf(length);
    return value('float32', shape, new Float32Array(elements(shape)));
  }

  /** What a run over one new position of each row, [prompts, rows of a prompt], is fed besides them. */
  stepFeeds(): Feeds {
    const copies = this.rows / this.#prompts;
    return this.#feeds(copies, (prompt, copy) => [...this.#seen[prompt * copies + copy]!, this.#capacity + copy]);
  }

  /** The buffers, and `attention_mask` int64 [prompts, count, capacity + count] of so many new positions. */
  #feeds(count: number, slotsSeenBy: (prompt: number, position: number) => readonly number[]): Feeds {
    const width = this.#capacity + count;
    const mask = new BigInt64Array(this.#prompts * count * width);
    for (let line = 0; line < this.#prompts * count; line++) {
      for (const slot of slotsSeenBy(Math.floor(line / count), line % count)) mask[line * width + slot] = 1n;
    }
    const shape = this.#shapeOf(this.#capacity);
    const past = [...this.#buffers].map(([name, data]) => [name, value('float32', shape, data)] as const);
    return {
      ...Object.fromEntries(past),
      spare: this.#zeros(0),
      attention_mask: value('int64', [this.#prompts, count, width], mask),
    };
  }

  /** Takes the keys and values of a text from the outputs of a run that read it. */
  appendText(outputs: Readonly<Record<string, Value>>, mask: Value<'int64'>): void {
    const start = this.#append(outputs, mask.shape[1]!);
    const added = keptOf(mask);
    this.#seen = this.#seen.map((seen, prompt) => [...seen, ...added[prompt]!.map((i) => start + i)]);
  }

  /** Takes the keys and values of every row's new position from the outputs of a run that was fed {@link stepFeeds}. */
  appendStep(outputs: Readonly<Record<string, Value>>): void {
    const copies = this.rows / this.#prompts;
    const start = this.#append(outputs, copies);
    this.#seen = this.#seen.map((seen, row) => [...seen, start + (row % copies)]);
  }

  /** The slot of the first of `count` positions that are written. */
  #append(outputs: Readonly<Record<string, Value>>, count: number): number {
    const start = this.#length;
    this.#reserve(start + count);
    const d = this.#sizes.headWidth;
    const present = layerNames('present', this.#sizes.layers).map((name) => toFloat32(outputs[name]!));
    for (const [i, data] of [...this.#buffers.values()].entries()) {
      const to = { data, stride: this.#capacity * d, at: start * d };
      copyRuns({ data: present[i]!, stride: count * d }, to, count * d);
    }
    this.#length += count;
    return start;
  }

  #reserve(length: number): void {
    if (length <= this.#capacity) return;
    const d = this.#sizes.headWidth;
    const capacity = Math.ceil(length / block) * block;
    for (const [name, data] of this.#buffers) {
      const grown = this.#zeros(capacity).data;
      const from = { data, stride: this.#capacity * d };
      if (this.#capacity > 0) copyRuns(from, { data: grown, stride: capacity * d, at: 0 }, this.#length * d);
      this.#buffers.set(name, grown);
    }
    this.#capacity = capacity;
  }

  /** Every row becomes `copies` rows, side by side, that go their own ways from here on. */
  branch(copies: number): void {
    this.#seen = this.#seen.flatMap((seen) => new Array<readonly number[]>(copies).fill(seen));
  }

  /** Row r becomes what row `parents[r]`, of the same prompt, was. */
  reorder(parents: readonly number[]): void {
    this.#seen = parents.map((parent) => this.#seen[parent]!);
  }
}

/** By row of a mask int64 [rows, T], the positions that it keeps. */
function keptOf({ shape, data }: Value<'int64'>): number[][] {
  const [rows, length] = shape as [number, number];
  const positions = Array.from({ length }, (_, i) => i);
  return Array.from({ length: rows }, (_, row) => positions.filter((i) => data[row * length + i] === 1n));
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
