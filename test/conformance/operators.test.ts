import fc from 'fast-check';
import { describe, it } from 'vitest';
import { mulDims } from '../../src/core/index.ts';
import type { Tensor } from '../../src/graph/index.ts';
import * as ops from '../../src/graph/ops/index.ts';
import * as a from './arrays.ts';
import { type Case, check, float32, float64, type Precision } from './check.ts';
import { Draw, type MatrixForm } from './draw.ts';

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

/** A product of matrices, batched, each perhaps stored transposed. */
const product = (op: (a: Tensor, b: Tensor, form: MatrixForm) => Tensor): Sample => ({
  draw: (d) => {
    const { form, operands } = d.matrices(d.pair());
    return { operands, op: (x, y) => op(x, y, form), reference: (x, y) => productOf(x, y, form) };
  },
});

function productOf(x: a.NdArray, y: a.NdArray, { transA, transB, alpha }: MatrixForm): a.NdArray {
  const result = a.product(transA ? a.swapped(x) : x, transB ? a.swapped(y) : y);
  return a.map((v) => alpha * v, result);
}

const samples = {
  add: binary(ops.add, (x, y) => x + y),
  sub: binary(ops.sub, (x, y) => x - y),
  mul: binary(ops.mul, (x, y) => x * y),
  div: binary(ops.div, (x, y) => x / y, [0.5, 2]),
  max: {
    draw: (d) => {
      const [left, right] = d.pair();
      const operands = [d.reals(left), d.reals(right, [-1.9, 2.3])]; // never equal
      return { operands, op: ops.max, reference: (x, y) => a.map(Math.max, x, y) };
    },
  },
  neg: unary(ops.neg, (x) => -x),
  abs: unary(ops.abs, Math.abs),
  exp: unary(ops.exp, Math.exp),
  cos: unary(ops.cos, Math.cos),
  sin: unary(ops.sin, Math.sin),
  log: unary(ops.log, Math.log, [0.2, 3]),
  sqrt: unary(ops.sqrt, Math.sqrt, [0.2, 3]),
  reciprocal: unary(ops.reciprocal, (x) => 1 / x, [0.4, 3]),
  tanh: unary(ops.tanh, Math.tanh),
  sigmoid: unary(ops.sigmoid, (x) => 1 / (1 + Math.exp(-x))),
  erf: { ...unary(ops.erf, a.erf), precision: float32 }, // ONNX Runtime has it in float32 only
  relu: unary(ops.relu, (x) => Math.max(x, 0)),
  fusedGelu: { ...unary(ops.fusedGelu, (x) => (x * (1 + a.erf(x * Math.SQRT1_2))) / 2), precision: float32 },
  stopGradient: {
    draw: (d) => {
      const x = d.reals(d.shape());
      return { operands: [x], op: ops.stopGradient, reference: () => x };
    },
  },
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
    precision: { ...float32, dtype: 'float64' },
    draw: (d) => ({
      operands: [d.reals(d.shape()), d.indices(d.shape(), 5)],
      op: (x, i) => [ops.cast(x, { to: 'float32' }), ops.cast(x, { to: 'int64' }), ops.cast(i, { to: 'float64' })],
      reference: (x, i) => [x, a.map(Math.trunc, x), i],
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
      return {
        operands: [x],
        op: (t) => [ops.slice(t, { axis, start, end }), ops.slice(t, { axis, start })],
        reference: (t) => [a.cut(t, axis, [start, end - start]), a.cut(t, axis, [start, t.shape[axis]! - start])],
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
        reference: (...ts) => a.joined(ts, axis),
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
        reference: (t) => sizes.map((size, i) => a.cut(t, axis, [starts[i]!, size])),
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
      op: (x) => [ops.zeros(x.dtype, x.shape), x],
      reference: (x) => [a.map(() => 0, x), x],
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
          a.scattered(
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
        reference: (t, i, u) => a.scattered(t, u, (index) => index.with(axis, a.get(i, index))),
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

  matMul: {
    draw: (d) => {
      const [left, right] = d.pair();
      const [n, k, m] = [d.int(1, 4), d.int(1, 4), d.int(1, 4)];
      return { operands: [d.reals([...left, n, k]), d.reals([...right, k, m])], op: ops.matMul, reference: a.product };
    },
  },
  batchedProduct: product(ops.batchedProduct),
  gemm: {
    draw: (d) => {
      const { n, m, form, operands } = d.matrices();
      const addend = d.chance() ? [d.reals(d.narrower([n, m]))] : [];
      return {
        operands: [...operands, ...addend],
        op: (x, y, ...c) => ops.gemm(x, y, c[0], form),
        reference: (x, y, ...c) => a.map((...terms) => a.total(terms), productOf(x, y, form), ...c),
      };
    },
  },
  linearProduct: {
    draw: (d) => {
      const [width, out] = [d.int(1, 4), d.int(1, 4)];
      const bias = d.chance() ? [d.reals([out])] : [];
      return {
        operands: [d.reals([...d.shape(), width]), d.reals([out, width]), ...bias],
        op: (x, w, ...b) => ops.linearProduct(x, w, ...b),
        reference: (x, w, ...b) => {
          const y = a.product({ ...x, shape: [x.data.length / width, width] }, a.swapped(w));
          return a.map((...terms) => a.total(terms), { ...y, shape: [...x.shape.slice(0, -1), out] }, ...b);
        },
      };
    },
  },

  quantizeLinear: {
    precision: float32,
    draw: (d) => {
      const x = d.reals([d.int(1, 4), d.int(1, 4)], [-301.3, 299.1]); // no halves
      const scale = a.map((s) => s + 1, d.indices([x.shape[0]!], 3));
      return {
        operands: [x, { ...scale, dtype: 'int64' }],
        op: (t, s) => ops.cast(ops.quantizeLinear(t, ops.cast(s, { to: 'float32' })), { to: 'float32' }),
        reference: (t, s) =>
          a.build(t.shape, ([n, k]) =>
            Math.min(255, Math.max(0, Math.round(a.get(t, [n!, k!]) / a.get(s, [n!])) + 128)),
          ),
      };
    },
  },
  dequantizeLinear: {
    precision: float32,
    draw: (d) => {
      const q = d.indices([d.int(1, 4), d.int(1, 4)], 256);
      return {
        operands: [q, d.indices([q.shape[0]!], 4)],
        op: (t, s) => ops.dequantizeLinear(ops.cast(t, { to: 'uint8' }), ops.cast(s, { to: 'float32' })),
        reference: (t, s) => a.build(t.shape, ([n, k]) => (a.get(t, [n!, k!]) - 128) * a.get(s, [n!])),
      };
    },
  },
  matMulIntegerToFloat: {
    precision: float32,
    draw: (d) => {
      const [n, k, m] = [d.int(1, 4), d.int(1, 4), d.int(1, 4)];
      return {
        operands: [d.indices([n, k], 256), d.indices([k, m], 256), d.indices([m], 4)],
        op: (q, w, s) =>
          ops.matMulIntegerToFloat(
            ops.cast(q, { to: 'uint8' }),
            ops.cast(ops.sub(w, 128), { to: 'int8' }),
            ops.cast(s, { to: 'float32' }),
          ),
        reference: (q, w, s) => {
          const centred = (t: a.NdArray) => a.map((v) => v - 128, t);
          return a.map((y, scale) => y * scale, a.product(centred(q), centred(w)), s);
        },
      };
    },
  },
  matMulNBits: {
    precision: float32,
    draw: (d) => {
      const [n, m, blocks, block] = [d.int(1, 3), d.int(1, 3), d.int(1, 3), 16];
      const bits = d.int(0, 1) === 0 ? 4 : 8;
      const whole = d.indices([n, blocks * block], 128); // with 127 in every block: rounding to int8 keeps them
      const x = { ...whole, data: whole.data.map((v, i) => (i % block === 0 ? 127 : v)) };
      return {
        symbols: 'none',
        operands: [x, d.indices([m, blocks, (block * bits) / 8], 256), d.indices([m, blocks], 4)],
        op: (t, packed, s) =>
          ops.matMulNBits(
            ops.cast(t, { to: 'float32' }),
            ops.cast(packed, { to: 'uint8' }),
            ops.cast(s, { to: 'float32' }),
            { bits },
          ),
        reference: (t, packed, s) => {
          const weight = a.build([blocks * block, m], ([i, row]) => {
            const [b, at] = [Math.floor(i! / block), i! % block];
            const byte = a.get(packed, [row!, b, bits === 8 ? at : at >> 1]);
            if (bits === 8) return (byte - 128) * a.get(s, [row!, b]);
            return ((at % 2 === 0 ? byte % 16 : byte >> 4) - 8) * a.get(s, [row!, b]);
          });
          return a.product(t, weight);
        },
      };
    },
  },

  reduceSum: reduction(ops.reduceSum, a.total),
  reduceMean: reduction(ops.reduceMean, a.mean),
  reduceMax: reduction(ops.reduceMax, (xs) => Math.max(...xs)),
  reduceMin: reduction(ops.reduceMin, (xs) => Math.min(...xs)),
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
      const first = (t: a.NdArray) => a.cut(t, axis, [0, k]);
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

function padded(x: a.NdArray, { axis, before, after }: { axis: number; before: number; after: number }): a.NdArray {
  const nothing = (size: number) => a.build(x.shape.with(axis, size), () => 0);
  return a.joined([nothing(before), x, nothing(after)], axis);
}

describe.each(Object.entries<Sample>(samples))('%s', (_, { draw, precision = float64 }) => {
  it('agrees with its formula, and its gradient with central differences', async () => {
    await fc.assert(
      fc.asyncProperty(fc.gen(), (g) => check(draw(new Draw(g)), precision)),
      { numRuns: 10 },
    );
  });
});
