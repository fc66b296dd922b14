import { describe, expect, it } from 'vitest';
import { floats } from '../core/index.ts';
import { compile } from '../runtime/index.ts';
import { add, differentiate, exp, input, mul, reduceSum, rewrite, split, type Tensor } from './index.ts';

const x = input('x', 'float32', [2]);

async function evaluate(outputs: Readonly<Record<string, Tensor>>): Promise<Record<string, number[]>> {
  const session = await compile<string>(outputs);
  const results = await session.run({ x: floats([2], [1, 3]) });
  await session.release();
  return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, Array.from(data, Number)]));
}

/** Sums in the place of products. */
const sumsForProducts = <O extends string>(outputs: Readonly<Record<O, Tensor>>) =>
  rewrite(outputs, ({ op, inputs: [a, b] }) => (op === 'Mul' ? [add(a!, b!)] : undefined));

describe('rewrite', () => {
  it('replaces nodes wherever they stand, and what depends on them', async () => {
    const square = mul(x, x); // 2 x
    const y = add(mul(square, 10), x); // 3 x + 10
    expect(await evaluate(sumsForProducts({ square, y }))).toEqual({ square: [2, 6], y: [13, 19] });
  });

  it('leaves inputs, and nodes that nothing has changed for, as they are', () => {
    const y = exp(add(x, 1));
    const { y: same, x: itself } = sumsForProducts({ y, x });
    expect(same).toBe(y);
    expect(itself).toBe(x);
  });

  it('keeps the outputs of a node apart', async () => {
    const [first, second] = split(mul(x, x), { axis: 0, sizes: [1, 1] });
    expect(await evaluate(sumsForProducts({ first: first!, second: second! }))).toEqual({ first: [2], second: [6] });
  });

  it('gives a graph that differentiates', async () => {
    const { y } = sumsForProducts({ y: reduceSum(exp(mul(x, x)), { axes: [0], keepDims: false }) }); // Σ exp 2x
    const [g] = differentiate(y, [x]);
    const { g: slope } = await evaluate({ g: g! });
    [1, 3].forEach((v, i) => {
      expect(slope![i]! / (2 * Math.exp(2 * v))).toBeCloseTo(1, 5);
    });
  });

  it('counts what it writes as written where the node was', () => {
    const y = mul(x, x);
    const siteOf = ({ source }: Tensor) => (source.kind === 'node' ? source.node.site : undefined);
    expect(siteOf(sumsForProducts({ y }).y)).toBe(siteOf(y));
  });
});
