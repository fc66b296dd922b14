import fc from 'fast-check';
import { expect } from 'vitest';
import { type DType, dtypes, type Shape, toNumbers, type Value, value } from '../../src/core/index.ts';
import { cast, differentiate, input, mul, reduceSum, type Tensor } from '../../src/graph/index.ts';
import { compile } from '../../src/runtime/index.ts';
import { type NdArray, total } from './arrays.ts';

/** One use of an operator: its operands, the operator, and a formula for what it gives. */
export interface Case {
  readonly operands: readonly Operand[];
  /** The graph under test; several outputs are compared one by one. */
  readonly op: (...operands: Tensor[]) => Tensor | readonly Tensor[];
  /** The same in plain TypeScript. */
  readonly reference: (...operands: NdArray[]) => NdArray | readonly NdArray[];
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
export async function check({ operands, op, reference }: Case, precision: Precision): Promise<void> {
  const expected = [reference(...operands)].flat();
  const weights = expected.map(({ shape, data }, i) => ({ shape, data: data.map((_, j) => Math.sin(1 + i + 2.7 * j)) }));
  const gradients = operands.flatMap((operand, i) =>
    operand.dtype === 'real' ? [centralDifferences(operands, i, (xs) => weigh([reference(...xs)].flat(), weights))] : [],
  );
  for (const dimensions of [fixed, symbolic]) {
    const results = await run({ operands, op, weights, dimensions }, precision.dtype);
    expected.forEach((y, i) => {
      near(results[`y${i}`]!, y, precision.value);
    });
    gradients.forEach((g, i) => {
      near(results[`g${i}`]!, g, precision.gradient);
    });
  }
}

interface Run extends Pick<Case, 'operands' | 'op'> {
  readonly weights: readonly NdArray[];
  readonly dimensions: (shape: readonly number[]) => Shape;
}

/** The outputs y0, y1, … and the gradients g0, g1, … of Σ weights ⊙ y with respect to the real operands. */
async function run({ operands, op, weights, dimensions }: Run, real: DType): Promise<Record<string, Value>> {
  const dtypeOf = (operand: Operand): DType => (operand.dtype === 'real' ? real : operand.dtype);
  const tensors = operands.map((x, i) => input(`x${i}`, dtypeOf(x), dimensions(x.shape)));
  const outputs = [op(...tensors)].flat();
  const loss = outputs
    .map((y, i) => {
      const weighted = mul(cast(y, { to: real }), input(`w${i}`, real, y.shape.map((d, axis) => (typeof d === 'number' ? d : `w${i}.${axis}`))));
      return reduceSum(weighted, { axes: [...y.shape.keys()], keepDims: false });
    })
    .reduce((a, b) => a);
  const wrt = tensors.filter((t) => t.dtype === real);
  const gradients = differentiate(loss, wrt);
  const named = (prefix: string, list: readonly Tensor[]) => Object.fromEntries(list.map((t, i) => [`${prefix}${i}`, t]));
  const session = await compile<string>({ ...named('y', outputs), ...named('g', gradients) });
  const results = await session.run({
    ...Object.fromEntries(operands.map((x, i) => [`x${i}`, toValue(x, dtypeOf(x))])),
    ...Object.fromEntries(weights.map((w, i) => [`w${i}`, toValue(w, real)])),
  });
  await session.release();
  return results;
}
