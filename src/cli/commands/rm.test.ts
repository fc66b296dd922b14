import { mkdir, mkdtemp, readdir, rm as remove, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { writeRandomModel } from '../../../test/random-model.ts';
import { DataError } from '../../core/index.ts';
import { folderAt } from '../../pipelines/index.ts';
import { rm } from './rm.ts';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'blip2-rm-'));
  vi.stubEnv('HF_HOME', home);
  vi.stubEnv('HF_HUB_CACHE', join(home, 'hub'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await remove(home, { recursive: true });
});

/** A model in the cache, as the hub's own tools lay it out. Returns its snapshot. */
async function cache(name: string, commit: string, { ref = true } = {}): Promise<string> {
  const folder = join(home, 'hub', `models--us--${name}`);
  const snapshot = join(folder, 'snapshots', commit);
  await mkdir(join(folder, 'refs'), { recursive: true });
  if (ref) await writeFile(join(folder, 'refs/main'), commit);
  await writeRandomModel(snapshot);
  return snapshot;
}

it('removes a model and its quantised copies, and no other', async () => {
  const [one, two] = [await cache('one', 'a'.repeat(40)), await cache('two', 'b'.repeat(40))];
  const old = await cache('one', 'c'.repeat(40), { ref: false });
  for (const snapshot of [one, two, old]) await folderAt(snapshot, { precision: 'int8' });
  await rm.parseAsync(['us/one'], { from: 'user' });
  expect(await readdir(join(home, 'hub'))).toEqual(['models--us--two']);
  expect(await readdir(join(home, 'blip2'))).toEqual([expect.stringMatching(/^b{40}-int8-/)]);
  await expect(rm.parseAsync(['us/one'], { from: 'user' })).rejects.toThrow(DataError);
});
