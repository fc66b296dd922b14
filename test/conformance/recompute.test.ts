/** Recomputed blocks: the same gradients, and nothing of a block's inside kept for the backward pass. */
import { describe, expect, it } from 'vitest';
import { stageOneInputs, stageOneLosses } from '../../src/blip2/index.ts';
import { floats, random, toFloat32, type Value } from '../../src/core/index.ts';
import {
  add,
  differentiate,
  exp,
  input,
  markBlock,
  matMul,
  mul,
  reduceSum,
  type Tensor,
} from '../../src/graph/index.ts';
import { nodesOf } from '../../src/graph/walk.ts';
import { DropoutPool, Params } from '../../src/nn/index.ts';
import { compile } from '../../src/runtime/index.ts';
import { config, imageWidth, normal, randomBatch } from './small-stage-one.ts';

const total = (x: Tensor): Tensor => reduceSum(x, { axes: [...x.shape.keys()], keepDims: false });

it('keeps the ends of a block alone', () => {
  const w = input('w', 'float64', [3, 3]);
  const x = input('x', 'float64', [3, 3]);
  const block = (from: Tensor): Tensor => {
    const to = add(from, exp(matMul(exp(mul(from, w)), w)));
    markBlock([from], [to]);
    return to;
  };
  const first = block(x);
  const second = block(first);
  const ends = new Set([x, first, second]);
  const forward = new Set(nodesOf([second]));
  const readBack = (recompute: boolean) =>
    nodesOf(differentiate(total(second), [w], { recompute }))
      .filter((node) => !forward.has(node))
      .flatMap((node) => node.encoded.operands)
      .filter((t) => t?.source.kind === 'node' && forward.has(t.source.node) && !ends.has(t));
  expect(readBack(false)).not.toHaveLength(0);
  expect(readBack(true)).toHaveLength(0);
});

describe('a stage-1 step with dropout', () => {
  const [batch, tokens, patches] = [3, 5, 4];

  async function gradients(recompute: boolean): Promise<Record<string, Value>> {
    const p = new Params();
    const dropout = new DropoutPool(0.3);
    const inputs = stageOneInputs({ batch, patches, imageWidth, tokens });
    const { loss } = stageOneLosses(p, inputs, config, { decoderStart: 1, dropout: dropout.apply });
    const draws = random(5, 'recompute');
    const weights = new Map([...p.declared].map(([name, t]) => [name, normal(draws, t.shape.map(Number), 0.3)]));
    const wrt = [...p.declared.keys()];
    const outputs = differentiate(loss, [...p.declared.values()], { recompute });
    const session = await compile(
      Object.fromEntries([['loss', loss], ...wrt.map((name, i) => [`gradient of ${name}`, outputs[i]!] as const)]),
      (name) => weights.get(name),
    );
    const results = await session.run({
      ...randomBatch(draws, { lengths: Array<number>(batch).fill(tokens), patches, tokens }),
      hardness: floats([], [0.5]),
      ...dropout.feeds(7, 0),
    });
    await session.release();
    return results;
  }

  it('has the gradients that it has without', async () => {
    const [kept, recomputed] = [await gradients(false), await gradients(true)];
    expect(Object.keys(recomputed)).toEqual(Object.keys(kept));
    for (const [name, expected] of Object.entries(kept)) {
      const largest = Math.max(...toFloat32(expected).map(Math.abs), 1e-3);
      toFloat32(recomputed[name]!).forEach((x, i) => {
        expect(Math.abs(x - toFloat32(expected)[i]!) / largest, name).toBeLessThan(1e-4);
      });
    }
  });
});
