import { expect, it } from 'vitest';
import { floats } from '../core/index.ts';
import { mul, reduceSum } from '../graph/index.ts';
import { Params } from '../nn/index.ts';
import { TrainStep } from './step.ts';

const ones = floats([2, 2], [1, 1, 1, 1]);
const initial = new Map(['first.weight', 'second.weight', 'unread.weight'].map((name) => [name, ones]));

/** A loss of one of three matrices that all train. */
function graphOf(read: string) {
  const p = new Params();
  const [x] = [read, ...[...initial.keys()].filter((name) => name !== read)].map((name) => p.tensor(name, [2, 2]));
  const loss = reduceSum(mul(x!, x!), { axes: [0, 1], keepDims: false });
  return { outputs: { loss }, declared: p.declared, trains: () => true };
}

it('moves what a loss depends on, of any of its graphs, and does not decay the rest', async () => {
  const train = await TrainStep.create(graphOf('first.weight'), { initial }, { weightDecay: 0.5, ema: 0.5 });
  const { optimiser } = train;
  await train.run({}, 0.1);
  const read = (name: string) => [...optimiser.parameters[name]!.data];
  expect(read('first.weight')).not.toContain(1);
  expect(read('second.weight')).toEqual([1, 1, 1, 1]);

  const sibling = await train.sibling(graphOf('second.weight'));
  await sibling.run({}, 0.1);
  expect(read('second.weight')).not.toContain(1);
  expect(read('unread.weight')).toEqual([1, 1, 1, 1]);
  expect([...optimiser.averages['unread.weight']!.data]).toEqual([1, 1, 1, 1]);
  await train.release();
  await sibling.release();
});
