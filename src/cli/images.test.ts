import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DataError, UsageError } from '../core/index.ts';
import { expandImages } from './images.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-images-'));
  await chmod(folder, 0o755);
  for (const sub of ['ok/deep', 'dir.png', 'closed']) await mkdir(join(folder, sub), { recursive: true });
  for (const file of ['ok/b.webp', 'ok/deep/a.PNG', 'ok/._b.webp', 'ok/notes.txt', 'other.jpg']) {
    await writeFile(join(folder, file), '');
  }
  await symlink('..', join(folder, 'ok/up'));
  await symlink('../other.jpg', join(folder, 'ok/link.jpg'));
  await symlink('nothing', join(folder, 'ok/dangling.jpg'));
  if (process.platform !== 'win32') execFileSync('mkfifo', [join(folder, 'ok/pipe.jpg')]);
});
afterAll(() => rm(folder, { recursive: true }));

const expand = async (...paths: string[]): Promise<string[]> =>
  (await expandImages(paths.map((path) => `${folder}/${path}`))).map((path) => relative(folder, path));

describe('the images of a folder', () => {
  it('are files and links to files, but no folders, pipes, dot files, and nothing behind a link to a folder', async () => {
    expect(await expand('ok')).toEqual(['ok/b.webp', 'ok/deep/a.PNG', 'ok/link.jpg']);
    await expect(expand('dir.png')).rejects.toThrow(new UsageError(`${folder}/dir.png: expected images, found none`));
  });

  it.skipIf(process.platform === 'win32')(
    'cannot be known where a folder below cannot be read, which is named',
    async () => {
      await chmod(join(folder, 'closed'), 0);
      const isRoot = process.geteuid?.() === 0; // who may read everything
      if (isRoot) process.seteuid?.(65534);
      try {
        await expect(expand('')).rejects.toThrow(DataError);
        await expect(expand('')).rejects.toThrow(
          `${folder}/closed: expected a folder to find images in, but Error: EACCES`,
        );
        expect(await expand('*.jpg')).toEqual(['other.jpg']); // is not looked for there
      } finally {
        if (isRoot) process.seteuid?.(0);
      }
    },
  );
});

describe('the images of a pattern', () => {
  it('are found however the pattern is written', async () => {
    for (const pattern of ['ok/*.webp', 'ok//*.webp', 'ok/../ok/*.webp', './ok/?.webp', '**/b.*']) {
      expect(await expand(pattern), pattern).toEqual(['ok/b.webp']);
    }
    expect(await expand('ok/**/*.PNG', '*/deep/*')).toEqual(['ok/deep/a.PNG']);
    await expect(expand('nothing/*.webp')).rejects.toThrow(UsageError);
  });
});
