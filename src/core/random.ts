/**
 * Counter-based random numbers: a draw is a pure function of (seed, stream, index), so a resumed run, another thread or
 * another batch order repeats it exactly. Philox-4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
 * SC 2011), the generator of PyTorch's and JAX's devices.
 */

const M0 = 0xd2511f53;
const M1 = 0xcd9e8d57;
const W0 = 0x9e3779b9;
const W1 = 0xbb67ae85;

/** The high 32 bits of a 32 x 32-bit product. */
function mulHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  return (aHigh * bHigh + Math.floor((aLow * bHigh + middle) / 0x10000)) >>> 0;
}

/** Ten Philox rounds: four 32-bit words for a 128-bit counter and a 64-bit key, written to `out` at `at`. */
export function philox(
  out: Uint32Array,
  at: number,
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): void {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(M0, c0);
    const low0 = Math.imul(M0, c0);
    const high1 = mulHigh(M1, c2);
    const low1 = Math.imul(M1, c2);
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1 >>> 0, (high0 ^ c3 ^ k1) >>> 0, low0 >>> 0];
    k0 = (k0 + W0) >>> 0;
    k1 = (k1 + W1) >>> 0;
  }
  out[at] = c0;
  out[at + 1] = c1;
  out[at + 2] = c2;
  out[at + 3] = c3;
}

/** A 32-bit hash of a string (FNV-1a), to name streams by words. */
export function hash32(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

/**
 * A sequence of draws keyed by a seed and a path of names or numbers (`random(7, 'dropout', step)`). Two paths give
 * independent sequences; the same path gives the same one, always.
 */
export class Random {
  readonly #key: readonly [number, number];
  readonly #stream: readonly [number, number];
  readonly #words = new Uint32Array(4);
  #block = 0;
  #left = 0;

  constructor(seed: number, path: readonly (string | number)[]) {
    this.#key = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
    this.#stream = [hash32(path.join('/')), hash32(`${path.join('/')}#`)];
  }

  /** The next 32 random bits. */
  uint32(): number {
    if (this.#left === 0) {
      philox(this.#words, 0, [this.#block >>> 0, Math.floor(this.#block / 2 ** 32), ...this.#stream], this.#key);
      this.#block += 1;
      this.#left = 4;
    }
    this.#left -= 1;
    return this.#words[3 - this.#left]!;
  }

  /** Uniform in [0, 1), 53 bits. */
  uniform(): number {
    return ((this.uint32() >>> 5) * 2 ** 26 + (this.uint32() >>> 6)) / 2 ** 53;
  }

  /** Uniform in [low, high). */
  between(low: number, high: number): number {
    return low + (high - low) * this.uniform();
  }

  /** A whole number in [0, n). */
  below(n: number): number {
    return Math.floor(this.uniform() * n);
  }

  /** One of the items. */
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  /** True with probability p. */
  chance(p: number): boolean {
    return this.uniform() < p;
  }

  /** Standard normal (Box-Muller). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  /** Standard Gumbel: argmax(log p + Gumbel) draws from p. */
  gumbel(): number {
    return -Math.log(-Math.log(1 - this.uniform() * (1 - 2 ** -53)) + Number.MIN_VALUE);
  }

  /** A copy of the items in random order (Fisher-Yates). */
  shuffle<T>(items: readonly T[]): T[] {
    const out = [...items];
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [out[i], out[j]] = [out[j]!, out[i]!];
    }
    return out;
  }
}

/** Draws for a seed and a path of names or numbers. */
export const random = (seed: number, ...path: (string | number)[]): Random => new Random(seed, path);
