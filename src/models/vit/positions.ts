import { concat, fixed, matMul, numbers, reshape, slice, type Tensor } from '../../graph/index.ts';
import type { Interpolation } from '../contracts.ts';

/** Rows and columns of patches. */
export type Grid = readonly [rows: number, columns: number];

/**
 * A position table of a square grid `[.., D]` for a grid of another size: [1, 1 + h·w, D], or [1, h·w, D] without a class
 * token, whose own row is untouched. Bicubic as PyTorch's `interpolate`: the kernel is separable, so it is one product with a
 * constant matrix along the rows and one along the columns, and differentiable.
 */
export function interpolatePositions(table: Tensor, [rows, columns]: Grid, options: Interpolation = {}): Tensor {
  const width = fixed(table.shape.at(-1), "a position table's width");
  const length = fixed(table.shape.at(-2), "a position table's length");
  const before = options.classToken === false ? 0 : 1;
  const side = Math.sqrt(length - before);
  const positions = reshape(table, { shape: [length, width] });
  if (rows === side && columns === side) return reshape(positions, { shape: [1, length, width] });

  const learned = reshape(slice(positions, { axis: 0, start: before }), { shape: [side, side * width] });
  const alongRows = matMul(bicubicMatrix(side, rows, options), learned); // [h, s·D]
  const grid = reshape(alongRows, { shape: [rows, side, width] });
  const resized = matMul(bicubicMatrix(side, columns, options), grid); // [h, w, D]
  const patches = reshape(resized, { shape: [rows * columns, width] });
  const all = before === 0 ? patches : concat([slice(positions, { axis: 0, end: 1 }), patches], { axis: 0 });
  return reshape(all, { shape: [1, before + rows * columns, width] });

  function bicubicMatrix(from: number, to: number, o: Interpolation): Tensor {
    const weights = o.antialias ? averagingWeights(from, to) : bicubicWeights(from, to, o);
    return numbers(weights.flat(), table.dtype, [to, from]);
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
      row[Math.min(Math.max(j, 0), from - 1)]! += cubic(Math.abs(center - j), -0.75);
    }
    return row;
  });
}

/** The same with the kernel as wide as the samples that become one; samples past an edge do not count (Pillow's rule). */
function averagingWeights(from: number, to: number): number[][] {
  const step = from / to;
  const stretch = Math.max(step, 1);
  return Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * step - 0.5;
    const row = Array.from({ length: from }, (_, j) => cubic(Math.abs(center - j) / stretch, -0.5));
    const sum = row.reduce((a, b) => a + b);
    return row.map((weight) => weight / sum);
  });
}

/** Keys' convolution kernel (1981), for a distance in samples. */
function cubic(x: number, a: number): number {
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}
