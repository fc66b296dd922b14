import { concat, fixed, matMul, numbers, reshape, slice, type Tensor } from '../../graph/index.ts';

/** Rows and columns of patches. */
export type Grid = readonly [rows: number, columns: number];

export interface Interpolation {
  /** Whether the outermost cells of both grids lie on each other, rather than the grids' outer edges. Default false. */
  alignCorners?: boolean;
}

/**
 * A position table of a square grid (class token first; `[.., D]`) for a grid of another size: [1, 1 + h·w, D], the
 * class token's own untouched. Bicubic as PyTorch's `interpolate` (a = −0.75, no antialiasing): the kernel is
 * separable, so it is one product with a constant matrix along the rows and one along the columns, and differentiable.
 */
export function interpolatePositions(table: Tensor, [rows, columns]: Grid, options: Interpolation = {}): Tensor {
  const width = fixed(table.shape.at(-1), "a position table's width");
  const length = fixed(table.shape.at(-2), "a position table's length");
  const side = Math.sqrt(length - 1);
  const positions = reshape(table, { shape: [length, width] });
  if (rows === side && columns === side) return reshape(positions, { shape: [1, length, width] });

  const learned = reshape(slice(positions, { axis: 0, start: 1 }), { shape: [side, side * width] });
  const alongRows = matMul(bicubicMatrix(side, rows, options), learned); // [h, s·D]
  const grid = reshape(alongRows, { shape: [rows, side, width] });
  const resized = matMul(bicubicMatrix(side, columns, options), grid); // [h, w, D]
  const patches = reshape(resized, { shape: [rows * columns, width] });
  const all = concat([slice(positions, { axis: 0, end: 1 }), patches], { axis: 0 });
  return reshape(all, { shape: [1, 1 + rows * columns, width] });

  function bicubicMatrix(from: number, to: number, o: Interpolation): Tensor {
    return numbers(bicubicWeights(from, to, o).flat(), table.dtype, [to, from]);
  }
}

/** Row i: how much of each of `from` samples is in sample i of `to`. Samples past an edge are the edge's. */
function bicubicWeights(from: number, to: number, { alignCorners = false }: Interpolation): number[][] {
  const step = alignCorners ? (to > 1 ? (from - 1) / (to - 1) : 0) : from / to;
  return Array.from({ length: to }, (_, i) => {
    const center = alignCorners ? i * step : (i + 0.5) * step - 0.5;
    const first = Math.floor(center) - 1;
    const row = new Array<number>(from).fill(0);
    for (let j = first; j < first + 4; j++) {
      row[Math.min(Math.max(j, 0), from - 1)]! += cubic(Math.abs(center - j));
    }
    return row;
  });
}

/** Keys' convolution kernel (1981) with a = −0.75, for a distance in samples. */
function cubic(x: number): number {
  const a = -0.75;
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}
