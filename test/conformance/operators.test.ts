import fc from 'fast-check';
import { describe, it } from 'vitest';
import { mulDims } from '../../src/core/index.ts';
import { numbers, type Tensor } from '../../src/graph/index.ts';
import * as ops from '../../src/graph/ops/index.ts';
import * as a from './arrays.ts';
import { type Case, check, float32, float64, type Operand, type Precision } from './check.ts';
import { Draw } from './draw.ts';

/** Every export of graph/ops that gives tensors: an operator without a sample does not compile. */
type OpName = {
  [Name in keyof typeof ops]: (typeof ops)[Name] extends (
    ...args: never[]
  ) => Tensor | Tensor[] | Record<string, Tensor>
    ? Name
    : never;
}[keyof typeof ops];

interface Sample {
  readonly precision?: Precision;
  /** A random use of the operator, with its formula. */
  readonly draw: (d: Draw) => Case;
}

const unary = (op: (x: Tensor) => Tensor, f: (x: number) => number, range?: readonly [number, number]): Sample => ({
  draw: (d) => ({ operands: [d.reals(d.shape(), range)], op, reference: (x) => a.map(f, x) }),
});

const binary = (
  op: (a: Tensor, b: Tensor) => Tensor,
  f: (a: number, b: number) => number,
  range?: readonly [number, number],
): Sample => ({
  draw: (d) => {
    const [left, right] = d.pair();
    return { operands: [d.reals(left, range), d.reals(right, range)], op, reference: (x, y) => a.map(f, x, y) };
  },
});

/** Equal numbers are common here, and nothing flows back. */
const comparison = (op: (a: Tensor, b: Tensor) => Tensor, f: (a: number, b: number) => boolean): Sample => ({
  draw: (d) => {
    const [left, right] = d.pair();
    const operands = [d.few(left), d.few(right)];
    const result = a.map((x, y) => Number(f(x, y)), ...operands);
    return { operands, op, reference: () => result };
  },
});

const logical = (op: (a: Tensor, b: Tensor) => Tensor, f: (a: number, b: number) => number): Sample => ({
  draw: (d) => {
    const [left, right] = d.pair();
    return { operands: [d.bools(left), d.bools(right)], op, reference: (x, y) => a.map(f, x, y) };
  },
});

const reduction = (op: typeof ops.reduceSum, f: (xs: readonly number[]) => number): Sample => ({
  draw: (d) => {
    const x = d.reals(d.shape());
    const attrs = { axes: d.axes(x.shape), keepDims: d.chance() };
    return { operands: [x], op: (t) => op(t, attrs), reference: (t) => a.reduce(t, attrs, f) };
  },
});

const normaliser = (
  op: (x: Tensor, attrs: { axis: number }) => Tensor,
  f: (xs: readonly number[]) => readonly number[],
): Sample => ({
  draw: (d) => {
    const x = d.reals(d.shape());
    const axis = d.axis(x.shape);
    return { operands: [x], op: (t) => op(t, { axis }), reference: (t) => a.along(t, axis, f) };
  },
});

/** A product of matrices, each perhaps stored transposed, batched where `batched` says so. */
const matrixProduct = (
  op: (a: Tensor, b: Tensor, form: { transA?: boolean; transB?: boolean; alpha?: number }) => Tensor,
  { batched, forms = true }: { batched: boolean; forms?: boolean },
): Sample => ({
  draw: (d) => {
    const [n, k, m] = [d.int(1, 4), d.int(1, 4), d.int(1, 4)];
    const form = forms ? { transA: d.chance(), transB: d.chance(), alpha: d.int(1, 4) / 2 } : {};
    const [left, right] = batched ? d.pair() : [[], []];
    const x = d.reals([...left, ...(form.transA ? [k, n] : [n, k])]);
    const y = d.reals([...right, ...(form.transB ? [m, k] : [k, m])]);
    return { operands: [x, y], op: (s, t) => op(s, t, form), reference: (s, t) => productOf(s, t, form) };
  },
});

function productOf(x: a.NdArray, y: a.NdArray, { transA = false, transB = false, alpha = 1 }): a.NdArray {
  const result = a.product(transA ? a.swapped(x) : x, transB ? a.swapped(y) : y);
  return a.map((v) => alpha * v, result);
}

const samples = {
  add: binary(ops.add, (x, y) => x + y),
  sub: binary(ops.sub, (x, y) => x - y),
  mul: binary(ops.mul, (x, y) => x * y),
  div: binary(ops.div, (x, y) => x / y, [0.5, 2]),
  neg: unary(ops.neg, (x) => -x),
  exp: unary(ops.exp, Math.exp),
  log: unary(ops.log, Math.log, [0.2, 3]),
  sqrt: unary(ops.sqrt, Math.sqrt, [0.2, 3]),
  reciprocal: unary(ops.reciprocal, (x) => 1 / x, [0.4, 3]),
  tanh: unary(ops.tanh, Math.tanh),
  sigmoid: unary(ops.sigmoid, (x) => 1 / (1 + Math.exp(-x))),
  erf: { ...unary(ops.erf, a.erf), precision: float32 }, // ONNX Runtime has it in float32 only
  relu: unary(ops.relu, (x) => Math.max(x, 0)),
  fusedGelu: { ...unary(ops.fusedGelu, (x) => (x * (1 + a.erf(x * Math.SQRT1_2))) / 2), precision: float32 },
  equal: comparison(ops.equal, (x, y) => x === y),
  greater: comparison(ops.greater, (x, y) => x > y),
  greaterOrEqual: comparison(ops.greaterOrEqual, (x, y) => x >= y),
  less: comparison(ops.less, (x, y) => x < y),
  lessOrEqual: comparison(ops.lessOrEqual, (x, y) => x <= y),
  and: logical(ops.and, (x, y) => x & y),
  or: logical(ops.or, (x, y) => x | y),
  not: {
    draw: (d) => ({ operands: [d.bools(d.shape())], op: ops.not, reference: (x) => a.map((v) => 1 - v, x) }),
  },
  cast: {
    draw: (d) => ({
      operands: [d.reals(d.shape()), d.indices(d.shape(), 5)],
      op: (x, i) => [ops.cast(ops.mul(x, 2), { to: 'float64' }), ops.cast(i, { to: 'float64' })],
      reference: (x, i) => [a.map((v) => 2 * v, x), i],
    }),
  },
  where: {
    draw: (d) => {
      const shape = d.shape();
      return {
        operands: [d.bools(d.narrower(shape)), d.reals(d.narrower(shape)), d.reals(d.narrower(shape))],
        op: (condition, x, y) => [ops.where(condition, x, y), ops.where(condition, x, 3)],
        reference: (condition, x, y) => [
          a.map((c, v, w) => (c ? v : w), condition, x, y),
          a.map((c, v) => (c ? v : 3), condition, x),
        ],
      };
    },
  },

  reshape: {
    draw: (d) => {
      const [p, q, r] = [d.int(1, 4), d.int(1, 4), d.int(1, 4)];
      return {
        operands: [d.reals([p, q, r])],
        op: (x) => {
          const [b, t, w] = x.shape;
          return [ops.reshape(x, { shape: [mulDims(b!, t!), w!] }), ops.reshape(x, { shape: [w!, 1, b!, t!] })];
        },
        reference: ({ data }) => [
          { shape: [p * q, r], data },
          { shape: [r, 1, p, q], data },
        ],
      };
    },
  },
  transpose: {
    draw: (d) => {
      const x = d.reals(d.shape(2, 4));
      const shift = d.axis(x.shape);
      const perm = x.shape.map((_, i) => (i + shift) % x.shape.length);
      return { operands: [x], op: (t) => ops.transpose(t, { perm }), reference: (t) => a.transposed(t, perm) };
    },
  },
  swapLast: {
    draw: (d) => ({ operands: [d.reals(d.shape(2, 4))], op: ops.swapLast, reference: a.swapped }),
  },
  expand: {
    draw: (d) => {
      const like = d.bools(d.shape());
      return {
        operands: [d.reals(d.narrower(like.shape)), like],
        op: (x, { shape }) => ops.expand(x, { shape }),
        reference: (x) => a.build(like.shape, (index) => a.get(x, index)),
      };
    },
  },
  slice: {
    draw: (d) => {
      const x = d.reals(d.shape());
      const axis = d.axis(x.shape);
      const start = d.int(0, x.shape[axis]! - 1);
      const end = d.int(start + 1, x.shape[axis]!);
      const cut = (t: a.NdArray, to: number) =>
        a.build(t.shape.with(axis, to - start), (index) => a.get(shifted(t, axis, start), index));
      return {
        operands: [x],
        op: (t) => [ops.slice(t, { axis, start, end }), ops.slice(t, { axis, start })],
        reference: (t) => [cut(t, end), cut(t, t.shape[axis]!)],
      };
    },
  },
  pad: {
    draw: (d) => {
      const x = d.reals(d.shape());
      const attrs = { axis: d.axis(x.shape), before: d.int(0, 2), after: d.int(0, 2) };
      return { operands: [x], op: (t) => ops.pad(t, attrs), reference: (t) => padded(t, attrs) };
    },
  },
  concat: {
    draw: (d) => {
      const shape = d.shape();
      const axis = d.axis(shape);
      const parts = Array.from({ length: d.int(1, 3) }, () => d.reals(shape.with(axis, d.int(1, 4))));
      return {
        operands: parts,
        op: (...ts) => ops.concat(ts, { axis }),
        reference: (...ts) => joined(ts, axis),
      };
    },
  },
  split: {
    draw: (d) => {
      const shape = d.shape();
      const axis = d.axis(shape);
      const sizes = Array.from({ length: d.int(1, 3) }, () => d.int(1, 3));
      const x = d.reals(shape.with(axis, a.total(sizes)));
      const starts = sizes.map((_, i) => a.total(sizes.slice(0, i)));
      return {
        operands: [x],
        op: (t) => ops.split(t, { axis, sizes }),
        reference: (t) =>
          sizes.map((size, i) =>
            a.build(t.shape.with(axis, size), (index) => a.get(shifted(t, axis, starts[i]!), index)),
          ),
      };
    },
  },
  unsqueeze: {
    draw: (d) => {
      const x = d.reals(d.shape());
      const axis = d.int(0, x.shape.length);
      const shape = x.shape.toSpliced(axis, 0, 1);
      return { operands: [x], op: (t) => ops.unsqueeze(t, { axis }), reference: ({ data }) => ({ shape, data }) };
    },
  },
  squeeze: {
    draw: (d) => {
      const shape = d.shape();
      const axis = d.int(0, shape.length);
      const x = d.reals(shape.toSpliced(axis, 0, 1));
      return { operands: [x], op: (t) => ops.squeeze(t, { axis }), reference: ({ data }) => ({ shape, data }) };
    },
  },

  zeros: {
    draw: (d) => ({
      operands: [d.reals(d.shape())],
      op: (x) => ops.zeros(x.dtype, x.shape),
      reference: (x) => a.map(() => 0, x),
    }),
  },
  gather: {
    draw: (d) => {
      const x = d.reals(d.shape());
      const indices = d.indices(d.shape(1, 2), x.shape[0]!);
      return {
        operands: [x, indices],
        op: ops.gather,
        reference: (t, i) =>
          a.build([...i.shape, ...t.shape.slice(1)], (index) =>
            a.get(t, [a.get(i, index.slice(0, i.shape.length)), ...index.slice(i.shape.length)]),
          ),
      };
    },
  },
  scatterAdd: {
    draw: (d) => {
      const target = d.bools(d.shape());
      const indices = d.indices(d.shape(1, 2), target.shape[0]!);
      const rows = d.reals([...indices.shape, ...target.shape.slice(1)]);
      return {
        operands: [target, indices, rows],
        op: ({ shape }, i, r) => ops.scatterAdd(shape, i, r),
        reference: (t, i, r) =>
          scattered(
            a.map(() => 0, t),
            r,
            (index) => [a.get(i, index.slice(0, i.shape.length)), ...index.slice(i.shape.length)],
          ),
      };
    },
  },
  gatherElements: {
    draw: (d) => {
      const x = d.reals(d.shape());
      const axis = d.axis(x.shape);
      return {
        operands: [x, d.indices(x.shape.with(axis, d.int(1, 4)), x.shape[axis]!)],
        op: (t, i) => ops.gatherElements(t, i, { axis }),
        reference: (t, i) => a.build(i.shape, (index) => a.get(t, index.with(axis, a.get(i, index)))),
      };
    },
  },
  scatterElements: {
    draw: (d) => {
      const x = d.reals(d.shape());
      const axis = d.axis(x.shape);
      const indices = d.indices(x.shape.with(axis, d.int(1, 4)), x.shape[axis]!);
      return {
        operands: [x, indices, d.reals(indices.shape)],
        op: (t, i, u) => ops.scatterElements(t, i, u, { axis }),
        reference: (t, i, u) => scattered(t, u, (index) => index.with(axis, a.get(i, index))),
      };
    },
  },
  window: {
    draw: (d) => {
      const [length, start] = [d.int(1, 4), d.int(0, 3)];
      const x = d.indices([length + start + d.int(0, 2)], 9); // what a window reads carries no gradient
      return {
        operands: [x, { dtype: 'int64', shape: [1], data: [start] }],
        op: (t, s) => ops.window(t, s, { length }),
        reference: ({ data }) => ({ shape: [length], data: data.slice(start, start + length) }),
      };
    },
  },

  matMul: matrixProduct((x, y) => ops.matMul(x, y), { batched: true, forms: false }),
  fusedMatMul: matrixProduct(ops.fusedMatMul, { batched: true }),
  batchedProduct: matrixProduct(ops.batchedProduct, { batched: true }),
  gemm: {
    draw: (d) => {
      const { operands, reference, op } = matrixProduct((x, y, form) => ops.gemm(x, y, undefined, form), {
        batched: false,
      }).draw(d);
      return { operands, reference, op };
    },
  },
  linearProduct: {
    draw: (d) => {
      const [width, out] = [d.int(1, 4), d.int(1, 4)];
      const bias: Operand[] = d.chance() ? [d.reals([out])] : [];
      return {
        operands: [d.reals([...d.shape(), width]), d.reals([out, width]), ...bias],
        op: (x, w, b) => ops.linearProduct(x!, w!, b),
        reference: (x, w, b) => {
          const y = a.product({ ...x!, shape: [x!.data.length / width, width] }, a.swapped(w!));
          const shaped = { ...y, shape: [...x!.shape.slice(0, -1), out] };
          return b ? a.map((p, q) => p + q, shaped, b) : shaped;
        },
      };
    },
  },

  reduceSum: reduction(ops.reduceSum, a.total),
  reduceMean: reduction(ops.reduceMean, a.mean),
  reduceMax: reduction(ops.reduceMax, (xs) => Math.max(...xs)),
  argMax: {
    draw: (d) => {
      const x = d.few(d.shape());
      const axis = d.axis(x.shape);
      const result = a.reduce(x, { axes: [axis] }, (xs) => xs.indexOf(Math.max(...xs)));
      return { operands: [x], op: (t) => ops.argMax(t, { axis }), reference: () => result };
    },
  },
  topK: {
    draw: (d) => {
      const x = d.reals(d.shape());
      const axis = d.axis(x.shape);
      const k = d.int(1, x.shape[axis]!);
      const sorted = (t: a.NdArray) => a.along(t, axis, (xs) => xs.toSorted((p, q) => q - p));
      const ranks = a.along(x, axis, (xs) => xs.toSorted((p, q) => q - p).map((v) => xs.indexOf(v)));
      const first = (t: a.NdArray) => a.build(t.shape.with(axis, k), (index) => a.get(wide(t), index));
      return {
        operands: [x],
        op: (t) => {
          const { values, indices } = ops.topK(t, { axis, k });
          return [values, indices];
        },
        reference: (t) => [first(sorted(t)), first(ranks)],
      };
    },
  },
  cumSum: {
    draw: (d) => {
      const x = d.reals(d.shape());
      const attrs = { axis: d.axis(x.shape), reverse: d.chance() };
      const sums = (xs: readonly number[]) =>
        xs.map((_, i) => a.total(attrs.reverse ? xs.slice(i) : xs.slice(0, i + 1)));
      return { operands: [x], op: (t) => ops.cumSum(t, attrs), reference: (t) => a.along(t, attrs.axis, sums) };
    },
  },

  softmax: normaliser(ops.softmax, a.softmax),
  logSoftmax: normaliser(ops.logSoftmax, (xs) => a.softmax(xs).map(Math.log)),
  layerNormalization: {
    draw: (d) => {
      const shape = [...d.shape(1, 2), d.int(2, 5)];
      const epsilon = 0.125;
      const normalised = (xs: readonly number[]) => {
        const variance = a.mean(xs.map((x) => (x - a.mean(xs)) ** 2));
        return xs.map((x) => (x - a.mean(xs)) / Math.sqrt(variance + epsilon));
      };
      return {
        operands: [d.reals(shape), d.reals(shape.slice(-1)), d.reals(shape.slice(-1))],
        op: (x, scale, bias) => ops.layerNormalization(x, scale, bias, { epsilon }).output,
        reference: (x, scale, bias) =>
          a.map((v, s, b) => v * s + b, a.along(x, x.shape.length - 1, normalised), scale, bias),
      };
    },
  },
} satisfies Record<OpName, Sample>;

/** x seen from `start` on along one axis. */
function shifted(x: a.NdArray, axis: number, start: number): a.NdArray {
  return a.build(x.shape.with(axis, x.shape[axis]! - start), (index) => at(x, index.with(axis, index[axis]! + start)));
}
