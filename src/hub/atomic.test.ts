import { execFileSync } from 'node:child_process';
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UsageError } from '../core/index.ts';
import { writeText } from './atomic.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-atomic-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('what is written', () => {
  it('goes where a link leads, and the link stays', async () => {
    await mkdir(join(folder, 'far'));
    const [file, link] = [join(folder, 'far/file'), join(folder, 'link')];
    await writeFile(file, 'old');
    await symlink(file, link);
    await writeText(link, 'new');
    expect(await readFile(file, 'utf8')).toBe('new');
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    expect(await readdir(join(folder, 'far'))).toEqual(['file']);
  });

  it.skipIf(process.platform === 'win32')('goes through a pipe, which stays one', async () => {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const [read] = await Promise.all([readFile(pipe, 'utf8'), writeText(pipe, 'text')]);
    expect(read).toBe('text');
    expect((await lstat(pipe)).isFIFO()).toBe(true);
  });

  it('does not go into a folder', async () => {
    const refusal = new UsageError(`${folder}: expected a file to write to, found a folder; name a file in it`);
    await expect(writeText(folder, 'text')).rejects.toThrow(refusal);
  });
});
