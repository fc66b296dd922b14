import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { floats, int64s, RuntimeError, type StoredTensor, toNumbers, viewRows } from '../core/index.ts';
import { add, gather, input, matMul, mul, parameter } from '../graph/index.ts';
import { compile, SessionThread, weightsFrom } from './index.ts';

let thread = new SessionThread();
afterEach(async () => {
  await thread.close();
  thread = new SessionThread();
});

const x = input('x', 'float32', ['batch', 2]);

it('computes what this thread does, of views as well, and only what is fetched', async () => {
  const y = mul(x, 3);
  const outputs = { y, z: add(y, 1) };
  const rows = viewRows(floats([3, 2], [1, 2, 3, 4, 5, 6]), 1, 2);
  const [here, there] = [await compile(outputs), await compile(outputs, undefined, { thread })];
  expect(await there.run({ x: rows })).toEqual(await here.run({ x: rows }));
  expect(await there.run({ x: rows }, { z: null })).toEqual(await here.run({ x: rows }, { z: null }));
  expect(toNumbers(rows)).toEqual([3, 4, 5, 6]);
});

it('takes runs before the graphs are compiled, and computes in the order in which it was asked', async () => {
  const finished: string[] = [];
  const runs = ['first', 'second', 'third'].map(async (name, i) => {
    const session = await compile({ y: mul(x, i) }, undefined, { thread });
    const { y } = await session.run({ x: floats([1, 2], [1, 2]) });
    finished.push(name);
    return toNumbers(y);
  });
  expect(await Promise.all(runs)).toEqual([
    [0, 0],
    [1, 2],
    [2, 4],
  ]);
  expect(finished).toEqual(['first', 'second', 'third']);
});

it('says at each run what was wrong with the weights', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'session-thread-'));
  const file = join(folder, 'short.safetensors');
  writeFileSync(file, new Uint8Array(4));
  const stored = { dtype: 'float32', shape: [2, 2], file, offset: 0, byteLength: 16 } as const;
  const weights = weightsFrom(new Map<string, StoredTensor>([['w', stored]]));
  const session = await compile({ y: matMul(x, parameter('w', 'float32', [2, 2])) }, weights, { thread });
  for (const _ of [1, 2]) {
    const run = session.run({ x: floats([1, 2], [1, 2]) });
    await expect(run).rejects.toThrow(RuntimeError);
    await expect(run).rejects.toThrow('External initializer: w');
  }
  rmSync(folder, { recursive: true });
});

it('names the line of an operator that fails, as this thread does', async () => {
  const rows = gather(x, input('places', 'int64', ['n']));
  const session = await compile({ rows }, undefined, { thread });
  const run = session.run({ x: floats([1, 2], [1, 2]), places: int64s([1], [5]) });
  await expect(run).rejects.toThrow(/out of data bounds.*\(written at .*session-thread\.test\.ts:\d+:\d+\)/s);
});

it('refuses to write into a value of this thread', async () => {
  const session = await compile({ y: mul(x, 3) }, undefined, { thread });
  const y = floats([1, 2], [0, 0]);
  await expect(session.run({ x: floats([1, 2], [1, 2]) }, { y })).rejects.toThrow('fetch null in its place');
});

it('computes nothing after it was closed', async () => {
  const session = await compile({ y: mul(x, 3) }, undefined, { thread });
  const feeds = { x: floats([1, 2], [1, 2]) };
  await session.run(feeds);
  await thread.close();
  await expect(session.run(feeds)).rejects.toThrow('the session was closed');
});
