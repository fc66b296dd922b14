/** The pocket model and the example pictures, as a user meets them. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

function blip2(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ['scripts/start.js', ...args], { cwd: root, encoding: 'utf8' });
}

function rowsOf(...args: string[]): Record<string, unknown>[] {
  const { status, stdout, stderr } = blip2(...args, '--json');
  expect(status, stderr).toBe(0);
  expect(stderr).toBe('');
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-index-cli-'));
});
afterAll(() => rm(folder, { recursive: true }));

it('an index in a folder is filled once, searched, and emptied', () => {
  const index = join(folder, 'exact');
  expect(rowsOf('index', 'add', index, 'examples')).toEqual([
    { index, added: 6, updated: 0, renamed: 0, unchanged: 0, skipped: 0, images: 6 },
  ]);
  expect(rowsOf('index', 'add', index, 'examples/*.webp')).toMatchObject([{ added: 0, unchanged: 4, images: 6 }]);

  const found = rowsOf('search', index, 'a guitar', '-k', '3', '--candidates', '2');
  expect(found).toHaveLength(3);
  expect(found[0]).toMatchObject({ rank: 1, image: 'examples/guitar.webp', step: 'itm' });
  expect(found[2]).toMatchObject({ rank: 3, itm: null, step: 'itc' });
  expect(rowsOf('search', index, '--image', 'examples/deer.png', '-k', '1')).toMatchObject([
    { rank: 1, image: 'examples/deer.png', itm: null },
  ]);

  expect(rowsOf('index', 'remove', index, 'examples/guitar.webp')).toEqual([{ index, removed: 1, images: 5 }]);
  expect(rowsOf('index', 'info', index)).toMatchObject([{ images: 5, format: 1, queries: 16, width: 128 }]);
}, 180_000);

it('an index in LanceDB is used alike', () => {
  const index = `lance:${join(folder, 'lance')}`;
  expect(rowsOf('index', 'add', index, 'examples')).toMatchObject([{ added: 6, images: 6 }]);
  expect(rowsOf('search', index, 'a guitar', '-k', '1')).toMatchObject([{ rank: 1, image: 'examples/guitar.webp' }]);
}, 180_000);

it('what is wrong is named in one line', async () => {
  const [index, bad] = [join(folder, 'bad'), join(folder, 'bad.png')];
  await writeFile(bad, 'no picture');
  const refused = blip2('index', 'add', index, 'examples/apple.webp', bad);
  expect(refused).toMatchObject({ status: 1, stdout: '' });
  expect(refused.stderr).toMatch(/^blip2: .*bad\.png: expected an image .*\n$/);
  const skipped = blip2('index', 'add', index, 'examples/apple.webp', bad, '--skip-bad');
  expect(skipped).toMatchObject({ status: 0, stdout: `1 unchanged, 1 skipped; ${index} has 1 images\n` });
  expect(skipped.stderr).toContain('bad.png');

  for (const { status, stderr } of [blip2('search', index, 'a', '-k', '0'), blip2('index', 'add', index)]) {
    expect(status).toBe(2);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  }
}, 180_000);

it('nothing is made of arguments that cannot be meant', async () => {
  const [index, pictures] = [join(folder, 'none'), join(folder, 'pictures')];
  await cp(join(root, 'examples'), pictures, { recursive: true });
  const before = await readdir(pictures);
  const swapped = blip2('index', 'add', pictures, index);
  expect([swapped.status, swapped.stderr]).toEqual([
    1,
    `blip2: ${index}: expected an image file, but there is no such file\n`,
  ]);
  const mistaken = blip2('index', 'add', pictures, 'examples/apple.webp');
  expect([mistaken.status, mistaken.stderr]).toEqual([
    2,
    expect.stringMatching(/pictures: expected an index, an empty/),
  ]);
  expect(await readdir(pictures)).toEqual(before);
  const standardInput = blip2('index', 'add', index, '-');
  expect([standardInput.status, standardInput.stderr]).toEqual([2, expect.stringContaining('found -')]);
  expect(blip2('index', 'add', index, 'examples/apple.webp', 'examples/none.webp').status).toBe(1);
  expect(existsSync(index)).toBe(false);
}, 180_000);
