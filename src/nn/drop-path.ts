import { floats, random, type Value } from '../core/index.ts';
import { input, mul, reshape, slice, type Tensor } from '../graph/index.ts';

/** Leaves out a residual branch [B, T, D] for some samples, in training; absent in inference. */
export type DropPath = (branch: Tensor) => Tensor;

/** What a training step leaves out of an image encoder; nothing in inference. */
export interface LeftOut {
  /** On the branches of its blocks. */
  readonly dropPath?: DropPath | undefined;
  /** The image tokens that the blocks compute, of all [B, n + h·w, D] with their positions; what is before the patches stays. */
  readonly keepTokens?: ((tokens: Tensor) => Tensor) | undefined;
}

/** Branches of a transformer's block: attention and feed-forward. */
const branchesPerBlock = 2;

/**
 * Stochastic depth (Huang et al. 2016) as the reference has it: a sample goes past a branch with a probability that rises
 * linearly from 0 at the first block to `rate` at the last, and what is kept is scaled up. The draws are an input, as
 * dropout's are, so that a step is a function of its inputs.
 */
export class StochasticDepth {
  readonly #rate: number;
  readonly #blocks: number;
  readonly #batch: number;
  /** A row for each branch: 0, or the factor of what is kept, by sample. */
  readonly #kept: Tensor;

  constructor({ rate, blocks, batch }: { rate: number; blocks: number; batch: number }) {
    this.#rate = rate;
    this.#blocks = blocks;
    this.#batch = batch;
    this.#kept = input('dropPath', 'float32', [branchesPerBlock * blocks, batch]);
  }

  /** For the branches of one graph, which ask in their order; those of more blocks, which nothing reads, stay as they are. */
  inGraph(): DropPath {
    let row = 0;
    return (branch) => {
      if (row === branchesPerBlock * this.#blocks) return branch;
      const kept = slice(this.#kept, { axis: 0, start: row, end: ++row });
      return mul(branch, reshape(kept, { shape: [this.#batch, 1, 1] }));
    };
  }

  /** The feeds of one step, drawn from (seed, step) alone. */
  feeds(seed: number, step: number): Record<string, Value> {
    const draws = random(seed, 'drop path', step);
    const rows = Array.from({ length: branchesPerBlock * this.#blocks }, (_, row) => {
      const depth = Math.floor(row / branchesPerBlock) / Math.max(this.#blocks - 1, 1);
      const dropped = this.#rate * depth;
      return Array.from({ length: this.#batch }, () => (draws.chance(dropped) ? 0 : 1 / (1 - dropped)));
    });
    return { dropPath: floats([rows.length, this.#batch], rows.flat()) };
  }
}
