import { type Dim, mulDims } from '../core/index.ts';
import {
  abs,
  add,
  concat,
  dequantizeLinear,
  matMulIntegerToFloat,
  mul,
  quantizeLinear,
  reduceMax,
  reshape,
  slice,
  sub,
  type Tensor,
} from '../graph/index.ts';
import { finer, type Parts } from './pack.ts';

/** The largest |q| of a row, so that its range is the same on both sides of 0. */
const levels = 127;

/**
 * y ≈ x W of rows x [N, in] and int8 columns, each row rounded to int8 with a scale of its own: a row of large numbers
 * costs the others nothing (LLM.int8(), Dettmers et al. 2022, §2.1). [N, out].
 */
export function roundedProduct(x: Tensor, { weight, scale }: Parts<Tensor>): Tensor {
  const { q, rowScale } = roundRows(x);
  return mul(matMulIntegerToFloat(q, weight, scale), asColumn(rowScale));
}

/**
 * The same with rows of 16 bits, as two of 8: what rounding left of a row is rounded again, and both are multiplied in
 * one product. Also a column of large numbers then costs the others nothing. Where few rows read many weights, weights
 * are what takes time, and the second half is almost free.
 */
export function preciseProduct(x: Tensor, { weight, scale }: Parts<Tensor>): Tensor {
  const rows = x.shape[0]!;
  const { q, rowScale } = roundRows(x);
  const rest = quantizeLinear(sub(x, dequantizeLinear(q, rowScale)), mul(rowScale, finer));
  const both = matMulIntegerToFloat(concat([q, rest], { axis: 0 }), weight, scale); // [2N, out]
  const [coarse, fine] = [slice(both, { axis: 0, end: rows }), slice(both, { axis: 0, start: rows })];
  return mul(add(coarse, mul(fine, finer)), asColumn(rowScale));
}

/**
 * The same with columns of 16 bits, too: [in, 2·out], of which the second half is what rounding to the first left, in units
 * of `finer` scales.
 */
export function int16Product(x: Tensor, { weight, scale }: Parts<Tensor>): Tensor {
  const end = scale.shape[0]!;
  const both = preciseProduct(x, { weight, scale: concat([scale, mul(scale, finer)], { axis: 0 }) });
  return add(slice(both, { axis: 1, end }), slice(both, { axis: 1, start: end }));
}

/** Rows x [N, in] as they are read by products with blocks: rounded to int8 with a scale for so many of their numbers. */
export function roundedInBlocks(x: Tensor, block: number): Tensor {
  const [rows, width] = x.shape as [Dim, number];
  const { q, rowScale } = roundRows(reshape(x, { shape: [mulDims(rows, width / block), block] }));
  return reshape(dequantizeLinear(q, rowScale), { shape: [rows, width] });
}

/** q uint8 [N, in] around 128 and the scale [N] that its rows are multiplied with. A row of zeros has scale 0. */
function roundRows(x: Tensor): { q: Tensor; rowScale: Tensor } {
  const rowScale = mul(reduceMax(abs(x), { axes: [1], keepDims: false }), 1 / levels);
  return { q: quantizeLinear(x, rowScale), rowScale };
}

const asColumn = (scale: Tensor): Tensor => reshape(scale, { shape: [scale.shape[0]!, 1] });
