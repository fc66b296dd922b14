import { describe, expect, it } from 'vitest';
import { toNumbers, type Value, value } from '../../src/core/index.ts';
import {
  add,
  cast,
  differentiate,
  exp,
  gather,
  input,
  layerNormalization,
  mul,
  numbers,
  reduceSum,
  scatterAdd,
  type Tensor,
  window,
} from '../../src/graph/index.ts';
import { compile } from '../../src/runtime/index.ts';

const vector = (...data: number[]): Value => value('float64', [data.length], Float64Array.from(data));
const total = (x: Tensor): Tensor => reduceSum(x, { axes: [...x.shape.keys()], keepDims: false });

async function evaluate(tensors: readonly Tensor[], feeds: Record<string, Value>): Promise<number[][]> {
  const session = await compile<string>(Object.fromEntries(tensors.map((t, i) => [`t${i}`, t])));
  const results = await session.run(feeds);
  await session.release();
  return tensors.map((_, i) => toNumbers(results[`t${i}`]!));
}

describe('differentiate', () => {
  const x = input('x', 'float64', [3]);
  const feeds = { x: vector(1, -2, 3) };

  it('reaches an intermediate tensor, and goes on through it', async () => {
    const middle = mul(x, x);
    const loss = total(mul(middle, middle)); // x⁴
    const [dMiddle, dx, dLoss] = differentiate(loss, [middle, x, loss]);
    expect(await evaluate([dMiddle!, dx!, dLoss!], feeds)).toEqual([[2, 8, 18], [4, -32, 108], [1]]);
  });
  it('does not go past an intermediate tensor that nothing else asks for', () => {
    const start = numbers([0], 'int64');
    const middle = mul(window(input('pool', 'float64', [9]), start, { length: 3 }), 2); // window does not differentiate
    expect(() => differentiate(total(mul(middle, x)), [middle, x])).not.toThrow();
  });
  it('adds up every use of a tensor', async () => {
    const loss = total(add(add(mul(x, x), mul(x, 3)), add(x, x))); // x² + 5x
    expect(await evaluate(differentiate(loss, [x]), feeds)).toEqual([[7, 1, 11]]);
  });
  it('is zero for what the loss does not depend on', async () => {
    const [dx, dOther] = differentiate(total(x), [x, input('other', 'float64', [2, 2])]);
    expect(await evaluate([dx!, dOther!], feeds)).toEqual([
      [1, 1, 1],
      [0, 0, 0, 0],
    ]);
  });
  it('can be applied to its own result', async () => {
    const [first] = differentiate(total(exp(mul(x, 2))), [x]);
    const [second] = differentiate(total(first!), [x]);
    const [values] = await evaluate([second!], feeds);
    [1, -2, 3].forEach((v, i) => {
      expect(values![i]).toBeCloseTo(4 * Math.exp(2 * v), 9);
    });
  });
  it('differentiates the gradients of reading and writing rows', async () => {
    const rows = numbers([1, 0, 1], 'int64');
    const written = scatterAdd([2], rows, x); // [−2, 1 + 3]
    const [first] = differentiate(total(mul(written, mul(written, written))), [x]); // 3 written²[rows]
    const [second] = differentiate(total(mul(first!, first!)), [x]); // 2 · 3 w² · 6 w at the row, twice for row 1
    expect(await evaluate([first!, second!], feeds)).toEqual([
      [48, 12, 48],
      [36 * 64 * 2, 36 * -8, 36 * 64 * 2],
    ]);
    const [read] = differentiate(total(mul(gather(x, rows), gather(x, rows))), [x]);
    expect(await evaluate([read!], feeds)).toEqual([[2, -8, 0]]);
  });
  it('does not recurse: a chain of 10,000 operators', async () => {
    let y: Tensor = x;
    for (let i = 0; i < 10_000; i++) y = add(y, x);
    expect(await evaluate(differentiate(total(y), [x]), feeds)).toEqual([[10_001, 10_001, 10_001]]);
  });
  it('does not pass over the statistics of a layer norm', () => {
    const [scale, bias] = [numbers([1, 1, 1], 'float64'), numbers([0, 0, 0], 'float64')];
    const { output, mean, inverseDeviation } = layerNormalization(x, scale, bias, { epsilon: 1e-5 });
    for (const statistic of [mean, inverseDeviation]) {
      expect(() => differentiate(total(statistic), [x])).toThrow(/mean and inverse deviation carry no gradient/);
      const both = add(total(output), cast(total(statistic), { to: 'float64' }));
      expect(() => differentiate(both, [x])).toThrow(/mean and inverse deviation carry no gradient/);
    }
  });
  it('wants a scalar', () => {
    expect(() => differentiate(x, [x])).toThrow('the loss must be a scalar, got [3]');
  });
});
