import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { floats, floatToHalf, value } from '../core/index.ts';
import { Checkpoint, writeSafetensors } from '../hub/index.ts';
import { FrozenWeights, readFrozen } from './frozen-weights.ts';

const numbers = [1, -0.5, 3];
const half = value('float16', [3], floatToHalf(Float32Array.from(numbers)));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-frozen-'));
});
afterAll(() => rm(folder, { recursive: true }));

it('leaves float32 in its file, and feeds what is kept in halves as float32', async () => {
  await writeSafetensors(join(folder, 'model.safetensors'), { half, full: floats([3], numbers) });
  const state = await readFrozen((await Checkpoint.open(folder)).entries);
  const frozen = new FrozenWeights((name) => state.get(name));
  expect(frozen.bind('full')).toMatchObject({ file: join(folder, 'model.safetensors') });
  expect(frozen.bind('half')).toBe('input');
  expect(frozen.bind('another')).toBeUndefined();
  expect(frozen.feeds).toEqual({ half: floats([3], numbers) });
});

it('converts halves in memory once, whatever number of graphs reads them', () => {
  const frozen = new FrozenWeights(() => half);
  expect(frozen.bind('half')).toBe('input');
  const { half: fed } = frozen.feeds;
  expect(fed).toEqual(floats([3], numbers));
  frozen.bind('half');
  expect(frozen.feeds.half).toBe(fed);
});
