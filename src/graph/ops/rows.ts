import { addDims, type Dim, type Shape, ShapeError, sizeOf, toNumbers } from '../../core/index.ts';
import { defineOp, type Op, operator } from '../define-op.ts';
import { dims, numbers, type Tensor } from '../tensor.ts';
import { cast, equal, sub, where } from './elementwise.ts';
import { zeros } from './indexing.ts';
import { gemm } from './mat-mul.ts';
import { expand, reshape, slice, unsqueeze } from './movement.ts';
import { argMax, cumSum } from './reduce.ts';

/**
 * Whole rows by index: embedding tables, and images of a batch. Indices are int64, count from 0 and carry no gradient. What
 * is read at ONNX's negative ones would get no gradient; they are not looked for at run time.
 */

/** Throws ShapeError where indices that are known already do not count from 0. */
function checkIndices({ source }: Tensor): void {
  if (source.kind !== 'constant') return;
  const negative = toNumbers(source.value).find((index) => index < 0);
  if (negative !== undefined) throw new ShapeError(`indices count from 0, got ${negative}`);
}

/**
 * Whole rows x[indices] along axis 0: x [N, ...], indices [I...] -> [I..., ...]. An embedding table is read so. Throws
 * ShapeError on negative constants.
 */
export const gather: Op<[x: Tensor, indices: Tensor]> = defineOp('Gather', {
  infer: ([x, indices]) => {
    if (indices.dtype !== 'int64') throw new ShapeError(`indices must be int64, got ${indices.dtype}`);
    checkIndices(indices);
    return { dtype: x.dtype, shape: [...indices.shape, ...x.shape.slice(1)] };
  },
  vjp: (g, { inputs: [x, indices] }) => [scatterAdd(x.shape, indices, g), null],
  encode: (inputs) => ({ operands: inputs, attributes: { axis: 0 } }),
});

/**
 * Zeros of `shape` with `rows` added at `indices` along axis 0; rows with equal indices add up. They do so in a matrix
 * product, always in the same order: ONNX Runtime's ScatterND adds on several threads at once, which loses terms where
 * two threads add to one row. Throws ShapeError on negative constants.
 */
export const scatterAdd = operator((shape: Shape, indices: Tensor, rows: Tensor): Tensor => {
  checkIndices(indices);
  const [entries, ...rest] = shape as [Dim, ...Dim[]];
  const count = sizeOf(indices.shape);
  const at = reshape(indices, { shape: [count] });
  const flat = reshape(rows, { shape: [count, sizeOf(rest)] });
  const few = typeof entries === 'number' && typeof count === 'number' && entries <= count;
  return reshape(few ? sumByEntry(entries, at, flat) : sumByFirst(entries, at, flat), { shape });
});

/** [entries, W]: the sum of the rows [N, W] that each entry has, where there are few entries. */
const sumByEntry = (entries: Dim, at: Tensor, rows: Tensor): Tensor =>
  gemm(sameIndex(at, countTo(entries), rows), rows, undefined, { transA: true });

/** The same for a large table: the first row with an index brings the sum of all, the others go to a row that is cut off. */
function sumByFirst(entries: Dim, at: Tensor, rows: Tensor): Tensor {
  const [count, width] = rows.shape as [Dim, Dim];
  const same = sameIndex(at, at, rows); // [N, N]
  const isFirst = equal(argMax(same, { axis: 1 }), countTo(count));
  const target = unsqueeze(where(isFirst, at, dims([entries])), { axis: 1 });
  const table = scatterNd(zeros(rows.dtype, [addDims(entries, 1), width]), target, gemm(same, rows, undefined, {}));
  return slice(table, { axis: 0, end: entries });
}

/** 0 … n − 1. */
const countTo = (n: Dim): Tensor => sub(cumSum(expand(numbers(1, 'int64'), { shape: [n] }), { axis: 0 }), 1);

/** [N, M] of `like`'s dtype: 1 where index i of a [N] equals index j of b [M]. */
const sameIndex = (a: Tensor, b: Tensor, like: Tensor): Tensor =>
  cast(equal(unsqueeze(a, { axis: 1 }), unsqueeze(b, { axis: 0 })), { to: like.dtype });

const rowsOf = (data: Tensor, indices: Tensor): Dim[] => [...indices.shape.slice(0, -1), ...data.shape.slice(1)];

/** data with updates added at the rows that the last axis of `indices`, of length 1, names. */
const scatterNd: Op<[data: Tensor, indices: Tensor, updates: Tensor]> = defineOp('ScatterND', {
  infer: ([data, indices, updates]) => {
    const rows = rowsOf(data, indices);
    if (updates.shape.join() !== rows.join()) throw new ShapeError(`the updates must be [${rows.join(', ')}]`);
    return { dtype: data.dtype, shape: data.shape };
  },
  vjp: (g, { inputs: [, indices] }) => [g, null, gatherNd(g, indices)],
  encode: (inputs) => ({ operands: inputs, attributes: { reduction: 'add' } }),
});

/** The rows of data that the last axis of `indices`, of length 1, names. */
const gatherNd: Op<[data: Tensor, indices: Tensor]> = defineOp('GatherND', {
  infer: ([data, indices]) => ({ dtype: data.dtype, shape: rowsOf(data, indices) }),
  vjp: (g, { inputs: [data, indices] }) => [scatterNd(zeros(g.dtype, data.shape), indices, g), null],
});
