import { addDims, type Dim, type Shape, ShapeError, sizeOf, subDims } from '../../core/index.ts';
import { defineOp, type Op, operator } from '../define-op.ts';
import { dims, numbers, type Tensor } from '../tensor.ts';
import { checkAxis, checkOthersEqual } from './axis.ts';
import { broadcast } from './elementwise.ts';

type One = [x: Tensor];

export const reshape: Op<One, { shape: Shape }> = defineOp('Reshape', {
  infer: ([x], { shape }) => {
    if (sizeOf(shape) !== sizeOf(x.shape)) {
      throw new ShapeError(`cannot hold ${sizeOf(x.shape)} elements in [${shape.join(', ')}]`);
    }
    return { dtype: x.dtype, shape };
  },
  vjp: (g, { inputs: [x] }) => [reshape(g, { shape: x.shape })],
  encode: ([x], { shape }) => ({ operands: [x, reshapeTarget(shape)], attributes: {} }),
});

/** One symbolic dimension is what ONNX calls −1; more have to be computed. */
function reshapeTarget(shape: Shape): Tensor {
  const symbolic = shape.filter((d) => typeof d === 'string').length;
  if (symbolic !== 1 || shape.includes(0)) return dims(shape);
  return dims(shape.map((d) => (typeof d === 'string' ? -1 : d)));
}

export const transpose: Op<One, { perm: readonly number[] }> = defineOp('Transpose', {
  infer: ([x], { perm }) => {
    const valid = perm.length === x.shape.length && x.shape.every((_, i) => perm.includes(i));
    if (!valid) throw new ShapeError(`[${perm.join(', ')}] is no permutation of ${x.shape.length} axes`);
    return { dtype: x.dtype, shape: perm.map((i) => x.shape[i]!) };
  },
  vjp: (g, { attrs: { perm } }) => [transpose(g, { perm: perm.map((_, i) => perm.indexOf(i)) })],
});

export const expand: Op<One, { shape: Shape }> = defineOp('Expand', {
  infer: ([x], { shape }) => ({ dtype: x.dtype, shape: broadcast(x.shape, shape) }),
  vjp: (g) => [g],
  encode: ([x], { shape }) => ({ operands: [x, dims(shape)], attributes: {} }),
});

/** x[start .. end) along one axis; `end` defaults to the axis' end. Bounds count from 0; ONNX's negative ones are not used. */
export const slice: Op<One, { axis: number; start?: Dim; end?: Dim }> = defineOp('Slice', {
  infer: ([x], attrs) => {
    const { axis, start, end } = span(x, attrs);
    const whole = x.shape[axis]!;
    if ([start, end].some((bound) => typeof bound === 'number' && bound < 0)) {
      throw new ShapeError(`bounds count from 0, got ${start} and ${end}`);
    }
    if (typeof start === 'number' && typeof end === 'number' && start > end) {
      throw new ShapeError(`start ${start} is past end ${end}`);
    }
    if (typeof end === 'number' && typeof whole === 'number' && end > whole) {
      throw new ShapeError(`end ${end} is past axis ${axis} of ${whole}`);
    }
    return { dtype: x.dtype, shape: x.shape.map((d, i) => (i === axis ? subDims(end, start) : d)) };
  },
  vjp: (g, { inputs: [x], attrs }) => {
    const { axis, start, end } = span(x, attrs);
    return [pad(g, { axis, before: start, after: subDims(x.shape[axis]!, end) })];
  },
  encode: ([x], attrs) => {
    const { axis, start, end } = span(x, attrs);
    return { operands: [x, dims([start]), dims([end]), numbers([axis], 'int64')], attributes: {} };
  },
});

function span(x: Tensor, { axis, start = 0, end }: { axis: number; start?: Dim; end?: Dim }) {
  checkAxis(x, axis);
  return { axis, start, end: end ?? x.shape[axis]! };
}

/** Zeros before and after along one axis. */
export const pad: Op<One, { axis: number; before: Dim; after: Dim }> = defineOp('Pad', {
  infer: ([x], { axis, before, after }) => {
    checkAxis(x, axis);
    return { dtype: x.dtype, shape: x.shape.map((d, i) => (i === axis ? addDims(addDims(d, before), after) : d)) };
  },
  vjp: (g, { inputs: [x], attrs: { axis, before } }) => [
    slice(g, { axis, start: before, end: addDims(before, x.shape[axis]!) }),
  ],
  encode: ([x], { axis, before, after }) => ({
    operands: [x, dims([before, after]), undefined, numbers([axis], 'int64')],
    attributes: {},
  }),
});

const joinTwoOrMore: Op<Tensor[], { axis: number }> = defineOp('Concat', {
  infer: (parts, { axis }) => {
    const [first, ...rest] = parts;
    if (!first) throw new ShapeError('nothing to join');
    checkAxis(first, axis);
    for (const part of rest) {
      if (part.dtype !== first.dtype) throw new ShapeError(`dtypes differ: ${first.dtype} and ${part.dtype}`);
      checkOthersEqual(first, part, axis);
    }
    const joined = parts.reduce<Dim>((sum, part) => addDims(sum, part.shape[axis]!), 0);
    return { dtype: first.dtype, shape: first.shape.map((d, i) => (i === axis ? joined : d)) };
  },
  vjp: (g, { inputs, attrs: { axis } }) => {
    let start: Dim = 0;
    return inputs.map((part) => {
      const end: Dim = addDims(start, part.shape[axis]!);
      const cotangent = slice(g, { axis, start, end });
      start = end;
      return cotangent;
    });
  },
});

/** Tensors joined along `axis`. */
export const concat = operator(
  (parts: readonly Tensor[], { axis }: { axis: number }): Tensor =>
    parts.length === 1 ? parts[0]! : joinTwoOrMore(...parts, { axis }),
);

/** x cut along `axis` into pieces of the given sizes. */
export const split = operator((x: Tensor, { axis, sizes }: { axis: number; sizes: readonly Dim[] }): Tensor[] => {
  let start: Dim = 0;
  return sizes.map((size) => {
    const end: Dim = addDims(start, size);
    const piece = slice(x, { axis, start, end });
    start = end;
    return piece;
  });
});

/** A new axis of length 1. */
export const unsqueeze = operator(
  (x: Tensor, { axis }: { axis: number }): Tensor =>
    reshape(x, { shape: [...x.shape.slice(0, axis), 1, ...x.shape.slice(axis)] }),
);

/** The axis of length 1 removed. */
export const squeeze = operator(
  (x: Tensor, { axis }: { axis: number }): Tensor => reshape(x, { shape: x.shape.filter((_, i) => i !== axis) }),
);
