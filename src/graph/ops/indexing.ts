import { type DType, type Shape, ShapeError } from '../../core/index.ts';
import { defineOp, type Op, operator } from '../define-op.ts';
import { numbers, type Tensor } from '../tensor.ts';
import { checkAxis, checkOthersEqual } from './axis.ts';
import { add } from './elementwise.ts';
import { expand } from './movement.ts';

/** Reading and writing by index. Indices are int64 and carry no gradient. */

export const zeros = operator((dtype: DType, shape: Shape): Tensor => expand(numbers(0, dtype), { shape }));

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
