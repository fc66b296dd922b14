import { elements, floats, random, type Value } from '../core/index.ts';
import { input, mul, reshape, slice, type Tensor, window } from '../graph/index.ts';

/** Zeroes entries at random and scales the rest, in training; absent in inference. */
export type Dropout = (x: Tensor) => Tensor;

/**
 * Dropout whose randomness is an input, so that a step is a function of its inputs and a resumed run repeats an
 * uninterrupted one. All sites read one pool of keep-or-zero factors, each from an offset of its own: drawing a mask
 * for every site would cost more than the layers it serves.
 */
export class DropoutPool {
  readonly probability: number;
  #largest = 0;
  #sites = 0;
  #pool: Tensor | undefined;
  #offsets: Tensor | undefined;

  constructor(probability: number) {
    this.probability = probability;
  }

  readonly apply: Dropout = (x) => {
    if (this.probability === 0) return x;
    const shape = x.shape.map(Number); // training graphs have fixed shapes
    const length = elements(shape);
    this.#largest = Math.max(this.#largest, length);
    this.#pool ??= input('dropout.pool', 'float32', ['pool']);
    this.#offsets ??= input('dropout.offsets', 'int64', ['sites']);
    const offset = slice(this.#offsets, { axis: 0, start: this.#sites, end: ++this.#sites });
    return mul(x, reshape(window(this.#pool, offset, { length }), { shape }));
  };

  /** The feeds of one step, drawn from (seed, step) alone. */
  feeds(seed: number, step: number): Record<string, Value> {
    if (this.#sites === 0) return {};
    const size = this.#largest + Math.ceil(this.#largest / 4) + 1024;
    const draws = random(seed, 'dropout', step);
    const threshold = Math.round(this.probability * 65_536);
    const keep = 65_536 / (65_536 - threshold);
    const pool = new Float32Array(size);
    for (let i = 0; i < size; i += 2) {
      const bits = draws.uint32();
      pool[i] = (bits & 0xffff) < threshold ? 0 : keep;
      if (i + 1 < size) pool[i + 1] = bits >>> 16 < threshold ? 0 : keep;
    }
    const offsets = BigInt64Array.from({ length: this.#sites }, () => BigInt(draws.below(size - this.#largest)));
    return {
      'dropout.pool': floats([size], pool),
      'dropout.offsets': { dtype: 'int64', shape: [this.#sites], data: offsets },
    };
  }
}
