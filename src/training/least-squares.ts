import { CholeskyDecomposition, Matrix } from 'ml-matrix';
import { random, toFloat32, type Value } from '../core/index.ts';

/** The rows of the last dimension of a value. */
export interface Rows {
  readonly data: Float32Array;
  readonly width: number;
}
export const rowsOf = (v: Value): Rows => ({ data: toFloat32(v), width: v.shape.at(-1)! });

/** An affine map as a linear layer has it: weight [out][in], bias [out][1]. */
export interface AffineMap {
  readonly weight: number[][];
  readonly bias: number[][];
}

interface Fit {
  /** What is added to the diagonal, in the mean of it: how far the rows are not to be believed. */
  readonly damping: number;
  /** How many rows are taken at most, for each number of a row: as many as determine the map well. */
  readonly rowsEach: number;
}

/** The map from rows to their targets with the least squares, damped. Of many rows some are drawn, the same ones always. */
export function leastSquares(
  { data, width }: Rows,
  target: (row: number) => ArrayLike<number>,
  { damping, rowsEach }: Fit,
): AffineMap {
  const count = data.length / width;
  const draws = random(0, 'least squares');
  const enough = rowsEach * width;
  const taken = Array.from({ length: Math.min(count, enough) }, (_, i) => (count > enough ? draws.below(count) : i));
  const x = new Matrix(taken.map((row) => data.subarray(row * width, (row + 1) * width)));
  const y = new Matrix(taken.map((row) => Array.from(target(row))));
  const [xMean, yMean] = [x.mean('column'), y.mean('column')];
  const xt = x.subRowVector(xMean).transpose();
  const gram = xt.mmul(x);
  gram.add(Matrix.eye(width).mul((damping * gram.trace()) / width));
  const weight = new CholeskyDecomposition(gram).solve(xt.mmul(y.subRowVector(yMean))).transpose();
  const shift = weight.mmul(Matrix.columnVector(xMean));
  return { weight: weight.to2DArray(), bias: yMean.map((m, i) => [m - shift.get(i, 0)]) };
}
