import { expect, it } from 'vitest';
import { toNumbers } from '../core/index.ts';
import { input } from '../graph/index.ts';
import { StochasticDepth } from './drop-path.ts';

const depth = new StochasticDepth({ rate: 0.4, blocks: 3, batch: 4000 });
const rows = (step: number) => {
  const { shape, ...v } = depth.feeds(5, step).dropPath!;
  const all = toNumbers({ shape, ...v });
  return Array.from({ length: shape[0]! }, (_, i) => all.slice(i * shape[1]!, (i + 1) * shape[1]!));
};
const share = (row: number[]) => row.filter((x) => x === 0).length / row.length;

it('drops both branches of block i of L with probability rate · i / (L − 1), and keeps the mean', () => {
  const dropped = rows(0).map(share);
  [0, 0, 0.2, 0.2, 0.4, 0.4].forEach((expected, i) => {
    expect(dropped[i]).toBeCloseTo(expected, 1);
  });
  for (const row of rows(0)) expect(row.reduce((a, b) => a + b) / row.length).toBeCloseTo(1, 1);
});

it('draws by the step alone, and for each branch apart', () => {
  expect(rows(3)).toEqual(rows(3));
  expect(rows(3)).not.toEqual(rows(4));
  expect(rows(3)[4]).not.toEqual(rows(3)[5]);
});

it('leaves branches beyond its blocks as they are', () => {
  const drop = depth.inGraph();
  const branch = input('branch', 'float32', [4000, 2, 8]);
  const dropped = Array.from({ length: 8 }, () => drop(branch) !== branch);
  expect(dropped).toEqual([true, true, true, true, true, true, false, false]);
});
