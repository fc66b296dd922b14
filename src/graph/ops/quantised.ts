import { ShapeError, value } from '../../core/index.ts';
import { defineOp, type Encoding, type Op } from '../define-op.ts';
import { constant, fixed, numbers, type Tensor } from '../tensor.ts';
import { expand } from './movement.ts';

/** Products of whole numbers, for inference: rounding has no slope, so nothing flows back through them. */

/** What stands for 0 among the bytes of rows: ONNX Runtime's fast product is of unsigned rows and signed columns. */
const zeroPoint = constant(value('uint8', [], Uint8Array.of(128)));

function requireMatrix(t: Tensor, what: string): void {
  if (t.shape.length !== 2) throw new ShapeError(`${what} must be a matrix, got [${t.shape.join(', ')}]`);
}

function requireRowScale(rows: Tensor, scale: Tensor): void {
  if (scale.shape.join() !== `${rows.shape[0]}`) throw new ShapeError(`the scale must be [${rows.shape[0]}]`);
}

/** Rows with a scale each, and one zero point. */
const byRow = ([rows, scale]: readonly [Tensor, Tensor]): Encoding => ({
  operands: [rows, scale, expand(zeroPoint, { shape: scale.shape })],
  attributes: { axis: 0 },
});

/** q = round(x / scale) + 128, cut to 0 … 255; half rounds to even. x [N, K], scale [N], one for each row. */
export const quantizeLinear: Op<[x: Tensor, scale: Tensor]> = defineOp('QuantizeLinear', {
  infer: ([x, scale]) => {
    requireMatrix(x, 'x');
    requireRowScale(x, scale);
    return { dtype: 'uint8', shape: x.shape };
  },
  vjp: () => [null, null],
  encode: (inputs) => byRow(inputs),
});

/** x = (q − 128) scale, what `quantizeLinear` stands for: q uint8 [N, K], scale [N]. */
export const dequantizeLinear: Op<[q: Tensor, scale: Tensor]> = defineOp('DequantizeLinear', {
  infer: ([q, scale]) => {
    requireMatrix(q, 'q');
    requireRowScale(q, scale);
    if (q.dtype !== 'uint8') throw new ShapeError(`expected uint8, got ${q.dtype}`);
    return { dtype: scale.dtype, shape: q.shape };
  },
  vjp: () => [null, null],
  encode: (inputs) => byRow(inputs),
});

/** y = (q − 128) w ⊙ scale: q uint8 [N, K], w int8 [K, M], scale [M], one for each column. Summed in 32-bit integers. */
export const matMulIntegerToFloat: Op<[q: Tensor, weight: Tensor, scale: Tensor]> = defineOp('MatMulIntegerToFloat', {
  domain: 'com.microsoft',
  infer: ([q, weight, scale]) => {
    requireMatrix(q, 'q');
    requireMatrix(weight, 'the weight');
    const [width, out] = weight.shape;
    if (q.dtype !== 'uint8' || weight.dtype !== 'int8') {
      throw new ShapeError(`expected uint8 and int8, got ${q.dtype} and ${weight.dtype}`);
    }
    if (q.shape[1] !== width) throw new ShapeError(`inner dimensions differ: ${q.shape[1]} and ${width}`);
    if (scale.shape.join() !== `${out}`) throw new ShapeError(`the scale must be [${out}]`);
    return { dtype: 'float32', shape: [q.shape[0]!, out!] };
  },
  vjp: () => [null, null, null],
  encode: ([q, weight, scale]) => ({ operands: [q, weight, numbers(1, 'float32'), scale, zeroPoint], attributes: {} }),
});

/**
 * y = x Wᵀ, W [M, K] in four or eight bits: `packed` uint8 [M, K / block, block · bits / 8], in four bits two weights a
 * byte, the first in the low half; half of the range (8, 128) stands for 0; `scale` [M, K / block]. x [N, K] is itself
 * rounded to int8 in blocks of the same length.
 */
export const matMulNBits: Op<[x: Tensor, packed: Tensor, scale: Tensor], { bits: 4 | 8 }> = defineOp('MatMulNBits', {
  domain: 'com.microsoft',
  infer: ([x, packed, scale], { bits }) => {
    requireMatrix(x, 'x');
    const { out, blocks, width } = packedSizes(packed, bits);
    if (x.shape[1] !== width) throw new ShapeError(`x must be [.., ${width}]`);
    if (scale.shape.join() !== `${out},${blocks}`) throw new ShapeError(`the scale must be [${out}, ${blocks}]`);
    return { dtype: 'float32', shape: [x.shape[0]!, out] };
  },
  vjp: () => [null, null, null],
  encode: (inputs, { bits }) => {
    const { out: N, blocks, width: K } = packedSizes(inputs[1], bits);
    return { operands: inputs, attributes: { K, N, bits, block_size: K / blocks, accuracy_level: 4 } };
  },
});

function packedSizes(packed: Tensor, bits: 4 | 8): { out: number; blocks: number; width: number } {
  const [out, blocks, bytes] = packed.shape.map((d) => fixed(d, 'a packed weight')) as [number, number, number];
  return { out, blocks, width: (blocks * bytes * 8) / bits };
}
