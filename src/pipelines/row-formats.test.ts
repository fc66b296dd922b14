import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { writeWideModel } from '../../test/random-model.ts';
import { compile } from '../runtime/index.ts';
import { openModel } from './model-files.ts';
import { writeQuantised } from './quantised-folder.ts';
import { rowFormats } from './row-formats.ts';

/** How often sessions were released. */
const released = vi.hoisted(() => vi.fn());
vi.mock('../runtime/index.ts', async (original) => {
  const runtime = await original<typeof import('../runtime/index.ts')>();
  const noted = vi.fn(async (...inputs: Parameters<typeof runtime.compile>) => {
    const session = await runtime.compile(...inputs);
    const release = session.release.bind(session);
    session.release = () => {
      released();
      return release();
    };
    return session;
  });
  return { ...runtime, compile: noted };
});

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-row-formats-'));
  await writeWideModel(join(folder, 'model'));
  await writeQuantised(join(folder, 'model'), join(folder, 'int8'), 'int8', { largeFrom: 1 }); // some stay in int8
  vi.clearAllMocks();
});
afterAll(() => rm(folder, { recursive: true }));

it('measures once, and ends with the reason of its signal, with nothing left in memory', async () => {
  const files = await openModel(join(folder, 'int8'));
  const options = { largeFrom: 1, forManyRows: true };
  await rowFormats(files, options);
  expect(vi.mocked(compile).mock.lastCall![2]).toMatchObject({ mapped: true, spinning: false });
  expect(released).toHaveBeenCalledTimes(1);

  const reason = new Error('enough');
  await expect(rowFormats(files, { ...options, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  expect(compile).toHaveBeenCalledTimes(1);

  const controller = new AbortController();
  const compiling = rowFormats(files, { ...options, signal: controller.signal });
  controller.abort(reason);
  await expect(compiling).rejects.toBe(reason);
  expect(compile).toHaveBeenCalledTimes(2);
  expect(released).toHaveBeenCalledTimes(2);
});
