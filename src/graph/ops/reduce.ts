import { type Dim, mulDims, type Shape, ShapeError } from '../../core/index.ts';
import { defineMultiOp, defineOp, type MultiOp, type Op } from '../define-op.ts';
import { dims, numbers, type Tensor, type TensorType } from '../tensor.ts';
import { checkAxis } from './axis.ts';
import { cast, div, equal, mul } from './elementwise.ts';
import { scatterElements, zeros } from './indexing.ts';
import { expand, reshape } from './movement.ts';

interface Axes {
  axes: readonly number[];
  keepDims: boolean;
}
type One = [x: Tensor];

const kept = (shape: Shape, axes: readonly number[]): Dim[] => shape.map((d, i) => (axes.includes(i) ? 1 : d));

function infer([x]: One, { axes, keepDims }: Axes): TensorType {
  for (const axis of axes) checkAxis(x, axis);
  return { dtype: x.dtype, shape: keepDims ? kept(x.shape, axes) : x.shape.filter((_, i) => !axes.includes(i)) };
}

// Where no axes are named, ONNX reduces all of them unless it is told not to.
const encode = ([x]: One, { axes, keepDims }: Axes) => ({
  operands: [x, numbers(axes, 'int64')],
  attributes: { keepdims: keepDims ? 1 : 0, ...(axes.length === 0 && { noop_with_empty_axes: 1 }) },
});

/** A cotangent of a reduced tensor, spread over the axes that were reduced. */
const spread = (g: Tensor, x: Tensor, axes: readonly number[]): Tensor =>
  expand(reshape(g, { shape: kept(x.shape, axes) }), { shape: x.shape });

export const reduceSum: Op<One, Axes> = defineOp('ReduceSum', {
  infer,
  vjp: (g, { inputs: [x], attrs: { axes } }) => [spread(g, x, axes)],
  encode,
});

export const reduceMean: Op<One, Axes> = defineOp('ReduceMean', {
  infer,
  vjp: (g, { inputs: [x], attrs: { axes } }) => {
    const count = axes.reduce<Dim>((n, axis) => mulDims(n, x.shape[axis]!), 1);
    if (typeof count === 'number') return [spread(mul(g, 1 / count), x, axes)];
    return [spread(div(g, cast(reshape(dims([count]), { shape: [] }), { to: x.dtype })), x, axes)];
  },
  encode,
});

/** An entry that is picked for its size; its gradient is shared equally by ties, as PyTorch's amax does. */
const extreme = (name: string): Op<One, Axes> =>
  defineOp<One, Axes>(name, {
    infer,
    vjp: (g, { inputs: [x], output: y, attrs: { axes } }) => {
      const isPicked = cast(equal(x, reshape(y, { shape: kept(x.shape, axes) })), { to: x.dtype });
      const ties = reduceSum(isPicked, { axes, keepDims: true });
      return [mul(isPicked, div(reshape(g, { shape: kept(x.shape, axes) }), ties))];
    },
    encode,
  });
export const reduceMax: Op<One, Axes> = extreme('ReduceMax');
export const reduceMin: Op<One, Axes> = extreme('ReduceMin');

/** The index of the largest entry (the first of equals), int64. */
export const argMax: Op<One, { axis: number }> = defineOp('ArgMax', {
  infer: ([x], { axis }) => {
    checkAxis(x, axis);
    return { dtype: 'int64', shape: x.shape.filter((_, i) => i !== axis) };
  },
  vjp: () => [null],
  encode: ([x], { axis }) => ({ operands: [x], attributes: { axis, keepdims: 0 } }),
});

/** The k largest entries along an axis, in falling order, and their indices. */
export const topK: MultiOp<One, { axis: number; k: Dim }, 'values' | 'indices'> = defineMultiOp('TopK', {
  outputs: ['values', 'indices'],
  infer: ([x], { axis, k }) => {
    checkAxis(x, axis);
    const size = x.shape[axis]!;
    if (typeof k === 'number' && typeof size === 'number' && k > size) {
      throw new ShapeError(`the ${k} largest of ${size} were asked for`);
    }
    const shape = x.shape.map((d, i) => (i === axis ? k : d));
    return { values: { dtype: x.dtype, shape }, indices: { dtype: 'int64', shape } };
  },
  vjp: ({ values: g }, { inputs: [x], outputs: { indices }, attrs: { axis } }) => [
    g ? scatterElements(zeros(x.dtype, x.shape), indices, g, { axis }) : null,
  ],
  encode: ([x], { axis, k }) => ({ operands: [x, dims([k])], attributes: { axis, largest: 1, sorted: 1 } }),
});

/** Running sums along an axis. */
export const cumSum: Op<One, { axis: number; reverse?: boolean }> = defineOp('CumSum', {
  infer: ([x], { axis }) => {
    checkAxis(x, axis);
    return { dtype: x.dtype, shape: x.shape };
  },
  vjp: (g, { attrs: { axis, reverse } }) => [cumSum(g, { axis, reverse: !reverse })],
  encode: ([x], { axis, reverse }) => ({
    operands: [x, numbers(axis, 'int64')],
    attributes: { reverse: reverse ? 1 : 0 },
  }),
});
