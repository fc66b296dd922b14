import fc from 'fast-check';
import { elements, random } from '../../src/core/index.ts';
import type { Operand } from './check.ts';

export interface MatrixForm {
  transA: boolean;
  transB: boolean;
  alpha: number;
}

/** Draws the shapes and numbers of a test case; a failing case shrinks and prints its seed. */
export class Draw {
  readonly #g: fc.GeneratorValue;

  constructor(g: fc.GeneratorValue) {
    this.#g = g;
  }

  /** A whole number, both ends included. */
  int(min: number, max: number): number {
    return this.#g(fc.integer, { min, max });
  }

  chance(): boolean {
    return this.#g(fc.boolean);
  }

  shape(minRank = 1, maxRank = 3): number[] {
    return Array.from({ length: this.int(minRank, maxRank) }, () => this.int(1, 4));
  }

  /** A shape that broadcasts into `shape`: leading axes may be missing, any axis may be 1. */
  narrower(shape: readonly number[]): number[] {
    return shape.slice(this.int(0, shape.length)).map((d) => (this.chance() ? d : 1));
  }

  /** Two shapes that broadcast together, neither of them always the larger. */
  pair(): [number[], number[]] {
    const shape = this.shape();
    return [this.narrower(shape), this.narrower(shape)];
  }

  axis(shape: readonly number[]): number {
    return this.int(0, shape.length - 1);
  }

  /** Any number of axes. */
  axes(shape: readonly number[]): number[] {
    return [...shape.keys()].filter(() => this.chance());
  }

  /** Distinct numbers in (low, high), none of them a multiple of the spacing away from 0 but a quarter off. */
  reals(shape: readonly number[], [low, high]: readonly [number, number] = [-2, 2]): Operand {
    const n = elements(shape);
    const order = random(this.#g(fc.nat), 'reals').shuffle([...Array(n).keys()]);
    return { dtype: 'real', shape, data: order.map((i) => low + ((high - low) * (i + 0.37)) / n) };
  }

  /** Numbers from a short list, so that equal ones are common. */
  few(shape: readonly number[]): Operand {
    const r = random(this.#g(fc.nat), 'few');
    return { dtype: 'real', shape, data: Array.from({ length: elements(shape) }, () => r.pick([-1, 0, 0.5])) };
  }

  indices(shape: readonly number[], below: number): Operand {
    const r = random(this.#g(fc.nat), 'indices');
    return { dtype: 'int64', shape, data: Array.from({ length: elements(shape) }, () => r.below(below)) };
  }

  /** Operands of a matrix product, each perhaps stored transposed, over leading axes that broadcast. */
  matrices([left, right]: readonly [readonly number[], readonly number[]] = [[], []]) {
    const [n, k, m] = [this.int(1, 4), this.int(1, 4), this.int(1, 4)];
    const form: MatrixForm = { transA: this.chance(), transB: this.chance(), alpha: this.int(1, 4) / 2 };
    const operands = [
      this.reals([...left, ...(form.transA ? [k, n] : [n, k])]),
      this.reals([...right, ...(form.transB ? [m, k] : [k, m])]),
    ];
    return { n, m, form, operands };
  }

  bools(shape: readonly number[]): Operand {
    return { ...this.indices(shape, 2), dtype: 'bool' };
  }
}
