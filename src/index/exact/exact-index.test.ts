import { appendFile, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { floats } from '../../core/index.ts';
import { randomItem, testManifest } from '../random-items.ts';
import { ExactIndex } from './exact-index.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-exact-'));
  const index = await ExactIndex.open(folder, testManifest);
  await index.put([0, 1, 2].map((n) => randomItem(n)));
});
afterEach(() => rm(folder, { recursive: true }));

/** Which of the pictures a search for their own vectors finds. */
async function found(numbers: readonly number[]): Promise<(string | undefined)[]> {
  const index = await ExactIndex.open(folder);
  const { width } = testManifest;
  const searches = numbers.map(async (n) => {
    const [hit] = await index.search(floats([1, width], randomItem(n).vectors.subarray(0, width)), 1);
    return hit && hit.itc > 0.9999 ? hit.picture.id : undefined;
  });
  return Promise.all(searches).finally(() => index.close());
}

it('forgets what a process was writing when it ended', async () => {
  await appendFile(join(folder, 'vectors.f32'), 'half a row');
  await appendFile(join(folder, 'features.f16'), 'half a row');
  await appendFile(join(folder, 'pictures.jsonl'), '{"row":3,"picture":{"id":"id-3","pa');
  expect(await found([0, 1, 2, 3])).toEqual(['id-0', 'id-1', 'id-2', undefined]);
  const index = await ExactIndex.open(folder);
  await index.put([randomItem(3)]);
  expect(await found([0, 1, 2, 3])).toEqual(['id-0', 'id-1', 'id-2', 'id-3']);
});

it('uses the rows of removed pictures again, and keeps its journal short', async () => {
  const sizes = async () => [
    (await stat(join(folder, 'vectors.f32'))).size,
    (await readFile(join(folder, 'pictures.jsonl'), 'utf8')).split('\n').length,
  ];
  const before = await sizes();
  for (let n = 3; n < 12; n++) {
    const index = await ExactIndex.open(folder);
    await index.remove([`id-${n - 3}`]);
    await index.put([randomItem(n)]);
  }
  const index = await ExactIndex.open(folder);
  await index.rename([{ id: 'id-9', path: 'a', file: '/a' }]);
  const [bytes, lines] = await sizes();
  expect(bytes).toBe(before[0]);
  expect(lines).toBe(before[1]! + 1);
  expect(await found([8, 9, 10, 11])).toEqual([undefined, 'id-9', 'id-10', 'id-11']);
});

it('refuses to write where another process has', async () => {
  const [first, second] = await Promise.all([ExactIndex.open(folder), ExactIndex.open(folder)]);
  await first.put([randomItem(3)]);
  await expect(second.put([randomItem(4)])).rejects.toThrow('another process has changed this index');
  expect(await found([0, 1, 2, 3, 4])).toEqual(['id-0', 'id-1', 'id-2', 'id-3', undefined]);
});

describe('a damaged index', () => {
  it('is refused with the file', async () => {
    await truncate(join(folder, 'vectors.f32'), 100);
    await expect(ExactIndex.open(folder)).rejects.toThrow(
      /vectors\.f32: expected 3 rows of 192 bytes, found 100 bytes; the index is damaged/,
    );
  });
  it('is refused with the line', async () => {
    const journal = join(folder, 'pictures.jsonl');
    const lines = (await readFile(journal, 'utf8')).split('\n');
    await writeFile(journal, lines.with(1, '{"row":1}').join('\n'));
    await expect(ExactIndex.open(folder)).rejects.toThrow(/pictures\.jsonl:2: expected a change of an index, found/);
  });
});
