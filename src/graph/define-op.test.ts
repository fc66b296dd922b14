import { describe, expect, it } from 'vitest';
import { ShapeError } from '../core/index.ts';
import {
  add,
  batchedProduct,
  concat,
  differentiate,
  gather,
  gatherElements,
  gemm,
  input,
  linearProduct,
  mul,
  numbers,
  reduceSum,
  scatterAdd,
  slice,
  softmax,
  split,
  type Tensor,
  topK,
  where,
} from './index.ts';

const x = input('x', 'float32', ['batch', 3]);
const y = input('y', 'float32', ['batch', 4]);
const flags = input('flags', 'bool', [5]);

/** The first line of a stack that is one of code. */
const firstFrame = (stack: string | undefined) => stack?.split('\n').find((line) => line.startsWith('    at '));

describe('an operator whose operands do not fit', () => {
  const mistakes: Record<string, [build: () => unknown, message: string]> = {
    'a defined operator': [
      () => softmax(x, { axis: 2 }),
      'Softmax(x: float32[batch, 3]): axis 2 is out of range for rank 2',
    ],
    'one that takes numbers too': [
      () => add(x, y),
      'Add(x: float32[batch, 3], y: float32[batch, 4]): cannot broadcast axis 1: 3 and 4',
    ],
    'one of three operands': [
      () => where(flags, x, 0),
      'Where(flags: bool[5], x: float32[batch, 3], constant: float32[]): cannot broadcast axis 1: 5 and 3',
    ],
    'one of a list': [
      () => concat([x, y], { axis: 0 }),
      'Concat(x: float32[batch, 3], y: float32[batch, 4]): axis 1 differs: 3 and 4',
    ],
    'one with an operand left out': [
      () => gemm(x, y, undefined, {}),
      'Gemm(x: float32[batch, 3], y: float32[batch, 4], none): inner dimensions differ: 3 and batch',
    ],
    'one made of others': [
      () => linearProduct(x, y),
      'Gemm(x: float32[batch, 3], y: float32[batch, 4], none): inner dimensions differ: 3 and 4',
    ],
    'one that chooses another': [
      () => batchedProduct(x, y),
      'FusedMatMul(x: float32[batch, 3], y: float32[batch, 4]): inner dimensions differ: 3 and batch',
    ],
    'one with several results': [
      () => split(x, { axis: 1, sizes: [2, 2] }),
      'Slice(x: float32[batch, 3]): end 4 is past axis 1 of 3',
    ],
    'one that indexes': [
      () => gatherElements(x, input('ids', 'int64', [2, 3]), { axis: 1 }),
      'GatherElements(x: float32[batch, 3], ids: int64[2, 3]): axis 0 differs: batch and 2',
    ],
    'one that ranks': [
      () => topK(x, { axis: 1, k: 4 }),
      'TopK(x: float32[batch, 3]): the 4 largest of 3 were asked for',
    ],
    'one that cuts, from the end': [
      () => slice(x, { axis: 1, start: -1 }),
      'Slice(x: float32[batch, 3]): bounds count from 0, got -1 and 3',
    ],
    'one that cuts, to before the end': [
      () => slice(x, { axis: 1, end: -1 }),
      'Slice(x: float32[batch, 3]): bounds count from 0, got 0 and -1',
    ],
    'one that cuts, backwards': [
      () => slice(x, { axis: 1, start: 2, end: 1 }),
      'Slice(x: float32[batch, 3]): start 2 is past end 1',
    ],
    'one that reads rows, from the end': [
      () => gather(x, numbers([0, -1], 'int64')),
      'Gather(x: float32[batch, 3], constant: int64[2]): indices count from 0, got -1',
    ],
    'one that writes rows, from the end': [
      () => scatterAdd([5, 3], numbers([-1], 'int64'), x),
      'indices count from 0, got -1',
    ],
    'the result of another': [
      () => add(mul(x, 2), y),
      'Add(Mul: float32[batch, 3], y: float32[batch, 4]): cannot broadcast axis 1: 3 and 4',
    ],
  };
  it.each(Object.entries(mistakes))('%s: says so at the line that wrote it', (_, [build, message]) => {
    const error = caught(build);
    expect(error).toBeInstanceOf(ShapeError);
    expect(error.message).toBe(message);
    expect(firstFrame(error.stack)).toContain('define-op.test.ts');
  });
});

describe('the site of a node', () => {
  const siteOf = ({ source }: Tensor) => (source.kind === 'node' ? firstFrame(source.node.site.stack) : undefined);
  const lineOf = (frame: string | undefined) => frame?.match(/define-op\.test\.ts:(\d+)/)?.[1];

  it('is the line that wrote it, also inside a composite', () => {
    const here = lineOf(firstFrame(new Error().stack));
    const product = linearProduct(x, input('w', 'float32', [5, 3]));
    expect(Number(lineOf(siteOf(product)))).toBe(Number(here) + 1);
  });
  it('of a gradient is the line of the operator that is differentiated', () => {
    const product = mul(x, x);
    const [g] = differentiate(reduceSum(product, { axes: [0, 1], keepDims: false }), [x]);
    expect(siteOf(g!)).toBe(siteOf(product));
  });
});

function caught(build: () => unknown): Error {
  try {
    build();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error('nothing was thrown');
}
