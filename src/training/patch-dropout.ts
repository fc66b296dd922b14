import { int64s, random } from '../core/index.ts';
import { fixed, gather, input, reshape, type Tensor } from '../graph/index.ts';
import type { Feeds } from '../runtime/index.ts';
import type { EncoderWithWeights } from './image-features.ts';

interface PatchDropoutOptions {
  /** The share of patches that a step does not see. */
  readonly rate: number;
  readonly seed: number;
  /** Tokens before the patches, which are always kept. */
  readonly prefixTokens: number;
  /** The grid of the patches. */
  readonly grid: readonly [rows: number, columns: number];
  /** Tokens along each side of the square that becomes one feature: squares are kept or left out whole. */
  readonly side: number;
}

/**
 * Patch dropout (Liu et al., WACV 2023): every step reads another random part of each picture's patches, by (seed, step),
 * so that no single one can be relied on. The class token and its like always stay.
 */
export class PatchDropout {
  readonly #options: PatchDropoutOptions;
  readonly #kept: number;

  constructor(options: PatchDropoutOptions) {
    this.#options = options;
    const { grid, rate } = options;
    this.#kept = Math.max(1, Math.round(grid[0] * grid[1] * (1 - rate)));
  }

  /**
   * For features that were computed of whole pictures, or, where the encoder trains, for the tokens that its blocks are to
   * compute: a quarter of the patches is a quarter of the time (FLIP, Li et al. 2023).
   */
  static of({ encoder, processor, pooling }: EncoderWithWeights, { rate, seed, before }: DropoutPlace): PatchDropout {
    const { height, width } = processor.size;
    const side = encoder.patchSize * pooling;
    const grid = [Math.floor(height / side), Math.floor(width / side)] as const;
    const { prefixTokens } = encoder;
    return new PatchDropout({ rate, seed, prefixTokens, grid, side: before === 'blocks' ? pooling : 1 });
  }

  /** What is kept of tokens [B, P, D]: what stands before the patches, then square by square, [B, K, D]. */
  keep(tokens: Tensor): Tensor {
    const [batch, length, width] = tokens.shape.map((d) => fixed(d, 'the tokens that a step reads'));
    const kept = this.#options.prefixTokens + this.#kept * this.#options.side ** 2;
    const rows = gather(
      reshape(tokens, { shape: [batch! * length!, width!] }),
      input('keptTokens', 'int64', [batch! * kept]),
    );
    return reshape(rows, { shape: [batch!, kept, width!] });
  }

  /** The draws of one step for so many pictures. */
  feeds(step: number, pictures: number): Feeds {
    const { prefixTokens, grid, seed, side } = this.#options;
    const prefix = Array.from({ length: prefixTokens }, (_, token) => token);
    const draws = random(seed, 'patch dropout', step);
    const squares = Array.from({ length: grid[0] * grid[1] }, (_, square) => square);
    const rows = Array.from({ length: pictures }, (_, i) => {
      const drawn = draws.shuffle(squares).slice(0, this.#kept);
      const tokens = [...prefix, ...drawn.flatMap((square) => this.#tokensOf(square))];
      return tokens.map((token) => i * (prefixTokens + squares.length * side ** 2) + token);
    }).flat();
    return { keptTokens: int64s([rows.length], rows) };
  }

  /** The tokens of a square, row by row. */
  #tokensOf(square: number): number[] {
    const { prefixTokens, grid, side } = this.#options;
    const columns = grid[1];
    const first = prefixTokens + Math.floor(square / columns) * side * columns * side + (square % columns) * side;
    return Array.from({ length: side ** 2 }, (_, n) => first + Math.floor(n / side) * columns * side + (n % side));
  }
}

interface DropoutPlace {
  readonly rate: number;
  readonly seed: number;
  readonly before: 'blocks' | 'Q-Former';
}
