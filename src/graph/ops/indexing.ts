import { type DType, type Shape, ShapeError } from '../../core/index.ts';
import { defineOp, type Op, operator } from '../define-op.ts';
import { numbers, type Tensor } from '../tensor.ts';
import { checkAxis, checkOthersEqual } from './axis.ts';
import { add } from './elementwise.ts';
import { expand, unsqueeze } from './movement.ts';

/** Reading and writing by index. Indices are int64 and carry no gradient. */

export const zeros = operator((dtype: DType, shape: Shape): Tensor => expand(numbers(0, dtype), { shape }));

/** Whole rows x[indices] along axis 0: x [N, ...], indices [I...] -> [I..., ...]. An embedding table is read so. */
export const gather: Op<[x: Tensor, indices: Tensor]> = defineOp('Gather', {
  infer: ([x, indices]) => {
    if (indices.dtype !== 'int64') throw new ShapeError(`indices must be int64, got ${indices.dtype}`);
    return { dtype: x.dtype, shape: [...indices.shape, ...x.shape.slice(1)] };
  },
  vjp: (g, { inputs: [x, indices] }) => [scatterAdd(x.shape, indices, g), null],
  encode: (inputs) => ({ operands: inputs, attributes: { axis: 0 } }),
});

/** Zeros of `shape` with `rows` added at `indices` along axis 0; rows with equal indices add up. */
export const scatterAdd = operator(
  (shape: Shape, indices: Tensor, rows: Tensor): Tensor =>
    scatterNd(zeros(rows.dtype, shape), unsqueeze(indices, { axis: indices.shape.length }), rows),
);

/** data with updates added at the rows that the last axis of `indices`, of length 1, names. */
const scatterNd: Op<[data: Tensor, indices: Tensor, updates: Tensor]> = defineOp('ScatterND', {
  infer: ([data, indices, updates]) => {
    const rows = [...indices.shape.slice(0, -1), ...data.shape.slice(1)];
    if (updates.shape.join() !== rows.join()) throw new ShapeError(`the updates must be [${rows.join(', ')}]`);
    return { dtype: data.dtype, shape: data.shape };
  },
  vjp: (g, { inputs: [, indices] }) => [g, null, gatherNd(g, indices)],
  encode: (inputs) => ({ operands: inputs, attributes: { reduction: 'add' } }),
});

/** The rows of data that the last axis of `indices`, of length 1, names. */
const gatherNd: Op<[data: Tensor, indices: Tensor]> = defineOp('GatherND', {
  infer: ([data, indices]) => ({
    dtype: data.dtype,
    shape: [...indices.shape.slice(0, -1), ...data.shape.slice(1)],
  }),
  vjp: (g, { inputs: [data, indices] }) => [scatterNd(zeros(g.dtype, data.shape), indices, g), null],
});

/** y[i][j] = x[i][indices[i][j]] for axis 1, and so on: x and indices differ along `axis` only. */
export const gatherElements: Op<[x: Tensor, indices: Tensor], { axis: number }> = defineOp('GatherElements', {
  infer: ([x, indices], { axis }) => {
    checkAxis(x, axis);
    checkOthersEqual(x, indices, axis);
    return { dtype: x.dtype, shape: indices.shape };
  },
  vjp: (g, { inputs: [x, indices], attrs: { axis } }) => [
    scatterElements(zeros(g.dtype, x.shape), indices, g, { axis }),
    null,
  ],
});

/** data with updates added where gatherElements would read. */
export const scatterElements: Op<[data: Tensor, indices: Tensor, updates: Tensor], { axis: number }> = defineOp(
  'ScatterElements',
  {
    infer: ([data, indices, updates], { axis }) => {
      checkAxis(data, axis);
      checkOthersEqual(data, indices, axis);
      if (indices.shape.join() !== updates.shape.join()) throw new ShapeError('indices and updates differ in shape');
      return { dtype: data.dtype, shape: data.shape };
    },
    vjp: (g, { inputs: [, indices], attrs: { axis } }) => [g, null, gatherElements(g, indices, { axis })],
    encode: (inputs, { axis }) => ({ operands: inputs, attributes: { axis, reduction: 'add' } }),
  },
);

/** `length` entries from a start known only at run time: x [N], start int64 [1] -> [length]. */
export const window: Op<[x: Tensor, start: Tensor], { length: number }> = defineOp('Slice', {
  infer: ([x, start], { length }) => {
    if (x.shape.length !== 1 || start.shape.join() !== '1') throw new ShapeError('x must be [N], start [1]');
    return { dtype: x.dtype, shape: [length] };
  },
  vjp: () => {
    throw new TypeError('window: what is read through a window carries no gradient');
  },
  encode: ([x, start], { length }) => ({
    operands: [x, start, add(start, numbers([length], 'int64')), numbers([0], 'int64')],
    attributes: {},
  }),
});
