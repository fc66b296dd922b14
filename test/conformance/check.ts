import { expect } from 'vitest';
import { type Dim, type DType, type Shape, toNumbers, type Value, value } from '../../src/core/index.ts';
import { add, cast, differentiate, input, mul, reduceSum, type Tensor } from '../../src/graph/index.ts';
import { compile } from '../../src/runtime/index.ts';
import { type NdArray, total } from './arrays.ts';

/** One use of an operator: its operands, the operator, and a formula for what it gives. */
export interface Case {
  readonly operands: readonly Operand[];
  /** The graph under test; several outputs are compared one by one. */
  readonly op: (...operands: Tensor[]) => Tensor | readonly Tensor[];
  /** The same in plain TypeScript. */
  readonly reference: (...operands: NdArray[]) => NdArray | readonly NdArray[];
  /** Which dimensions may be symbols: all (default), the first of two or more, or none. */
  readonly symbols?: keyof typeof symbolic;
}

export interface Operand extends NdArray {
  /** `real`: float64 or float32, whichever is tested. */
  readonly dtype: 'real' | 'int64' | 'bool';
}

export interface Precision {
  readonly dtype: 'float64' | 'float32';
  /** Allowed difference, relative to 1 + |expected|. */
  readonly value: number;
  readonly gradient: number;
}

export const float64: Precision = { dtype: 'float64', value: 1e-9, gradient: 1e-6 };
/** For operators without a float64 kernel. The formula is differentiated in float64 all the same. */
export const float32: Precision = { dtype: 'float32', value: 2e-6, gradient: 2e-5 };

/**
 * Compares an operator with its formula, and its gradient with central differences of the formula: once with fixed
 * dimensions and once with symbolic ones.
 */
export async function check(example: Case, precision: Precision): Promise<void> {
  const { operands, reference, symbols = 'all' } = example;
  const expected = [reference(...operands)].flat();
  const weights = expected.map(({ shape, data }, i) => ({
    shape,
    data: data.map((_, j) => Math.sin(1 + i + 2.7 * j)),
  }));
  const weighted = (arrays: readonly NdArray[]) => weigh([reference(...arrays)].flat(), weights);
  const gradients = operands.flatMap((operand, i) =>
    operand.dtype === 'real' ? [centralDifferences(operands, i, weighted)] : [],
  );
  for (const dimensions of [symbolic.none, symbolic[symbols]]) {
    const results = await run({ ...example, weights, dimensions }, precision.dtype);
    expected.forEach((y, i) => {
      near(results[`y${i}`]!, y, precision.value);
    });
    gradients.forEach((g, i) => {
      near(results[`g${i}`]!, g, precision.gradient);
    });
  }
}

interface Run extends Case {
  readonly weights: readonly NdArray[];
  readonly dimensions: (shape: readonly number[]) => Shape;
}

/** The outputs y0, y1, … and the gradients g0, g1, … of Σ weights ⊙ y with respect to the real operands. */
async function run({ operands, op, weights, dimensions }: Run, real: DType): Promise<Record<string, Value>> {
  const dtypeOf = (operand: Operand): DType => (operand.dtype === 'real' ? real : operand.dtype);
  const tensors = operands.map((x, i) => input(`x${i}`, dtypeOf(x), dimensions(x.shape)));
  const outputs = [op(...tensors)].flat();
  const loss = outputs
    .map((y, i) => mul(cast(y, { to: real }), input(`w${i}`, real, y.shape)))
    .map((weighted) => reduceSum(weighted, { axes: [...weighted.shape.keys()], keepDims: false }))
    .reduce((a, b) => add(a, b));
  const gradients = differentiate(
    loss,
    tensors.filter((_, i) => operands[i]!.dtype === 'real'),
  );
  const named = (prefix: string, list: readonly Tensor[]) => list.map((t, i) => [`${prefix}${i}`, t] as const);
  const session = await compile<string>(Object.fromEntries([...named('y', outputs), ...named('g', gradients)]));
  const results = await session.run({
    ...Object.fromEntries(operands.map((x, i) => [`x${i}`, toValue(x, dtypeOf(x))])),
    ...Object.fromEntries(weights.map((w, i) => [`w${i}`, toValue(w, real)])),
  });
  await session.release();
  return results;
}

/** Axes of equal length share a symbol; those of length 1 stay, because they are broadcast. */
const symbol = (d: number): Dim => (d === 1 ? 1 : `d${d}`);
const symbolic = {
  all: (shape: readonly number[]): Shape => shape.map(symbol),
  batch: (shape: readonly number[]): Shape => (shape.length < 2 ? shape : [symbol(shape[0]!), ...shape.slice(1)]),
  none: (shape: readonly number[]): Shape => shape,
};

const weigh = (ys: readonly NdArray[], weights: readonly NdArray[]): number =>
  total(ys.flatMap((y, i) => y.data.map((x, j) => x * weights[i]!.data[j]!)));

/** The derivative of `f` by each entry of one operand. */
function centralDifferences(
  operands: readonly Operand[],
  position: number,
  f: (operands: readonly NdArray[]) => number,
): NdArray {
  const step = 1e-5;
  const operand = operands[position]!;
  const moved = (i: number, by: number) => {
    const data = operand.data.with(i, operand.data[i]! + by);
    return f(operands.with(position, { ...operand, data }));
  };
  return { shape: operand.shape, data: operand.data.map((_, i) => (moved(i, step) - moved(i, -step)) / (2 * step)) };
}

export function toValue({ shape, data }: NdArray, dtype: DType): Value {
  if (dtype === 'float64') return value(dtype, shape, Float64Array.from(data));
  if (dtype === 'float32') return value(dtype, shape, Float32Array.from(data));
  if (dtype === 'bool') return value(dtype, shape, Uint8Array.from(data));
  return value('int64', shape, BigInt64Array.from(data, BigInt));
}

function near(actual: Value, expected: NdArray, tolerance: number): void {
  expect(actual.shape).toEqual(expected.shape);
  toNumbers(actual).forEach((x, i) => {
    const y = expected.data[i]!;
    expect(Math.abs(x - y) / (1 + Math.abs(y)), `entry ${i}: ${x}, expected ${y}`).toBeLessThan(tolerance);
  });
}
