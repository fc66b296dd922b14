import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { writeRandomModel } from '../../test/random-model.ts';
import { UsageError } from '../core/index.ts';
import { folderAt, removeQuantised, writeQuantised } from './index.ts';

let folder: string;
const at = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-quantised-cache-'));
  vi.stubEnv('HF_HOME', at('home'));
  await writeRandomModel(at('model'));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

describe('folderAt', () => {
  it('is the folder itself for fp32, and the same cached one for each other precision', async () => {
    expect(await folderAt(at('model'), {})).toBe(at('model'));
    expect(await folderAt(at('model'), { precision: 'fp32' })).toBe(at('model'));
    expect(await folderAt(at('model'), { precision: 'auto', device: 'webgpu' })).toBe(at('model'));
    const cached = await folderAt(at('model'), { precision: 'auto' });
    expect(cached).not.toBe(await folderAt(at('model'), { precision: 'int4' }));
    await writeFile(join(cached, 'mark'), '');
    expect(await folderAt(at('model'), { precision: 'int8' })).toBe(cached);
    expect(await folderAt(relative('.', at('model')), { precision: 'int8' })).toBe(cached);
    expect(await readFile(join(cached, 'mark'), 'utf8')).toBe('');
  });

  it('leaves nothing behind when it is told to remove what it made of a model', async () => {
    await writeRandomModel(at('other'));
    const [own, of] = [
      await folderAt(at('model'), { precision: 'int8' }),
      await folderAt(at('other'), { precision: 'int8' }),
    ];
    await removeQuantised(at('other'));
    expect([existsSync(own), existsSync(of), existsSync(at('other'))]).toEqual([true, false, true]);
    await removeQuantised(folder); // no model
  });

  it('is made anew when a file of the model changes, and takes the place of the one before', async () => {
    await writeRandomModel(at('changing'));
    const before = await folderAt(at('changing'), { precision: 'int8' });
    const int4 = await folderAt(at('changing'), { precision: 'int4' });
    const killed = join(dirname(before), `.${basename(before)}.0123456789ab.tmp`);
    await mkdir(killed);
    const tokenizer = join(at('changing'), 'tokenizer_config.json');
    await writeFile(
      tokenizer,
      JSON.stringify({ ...JSON.parse(await readFile(tokenizer, 'utf8')), padding_side: 'left' }),
    );
    const after = await folderAt(at('changing'), { precision: 'int8' });
    expect(await readFile(join(after, 'tokenizer_config.json'), 'utf8')).toBe(await readFile(tokenizer, 'utf8'));
    expect([before, killed, int4, after].map((path) => existsSync(path))).toEqual([false, false, true, true]);
    await removeQuantised(at('changing'));
    expect([int4, after].map((path) => existsSync(path))).toEqual([false, false]);
  });

  it('is written once where it is asked for twice at the same time', async () => {
    await writeRandomModel(at('asked'));
    const asked = [vi.fn(), vi.fn()];
    const onWait = vi.fn();
    const folders = await Promise.all(
      asked.map((onProgress) => folderAt(at('asked'), { precision: 'int8', onProgress, onWait })),
    );
    expect(folders[0]).toBe(folders[1]);
    expect(asked.filter(({ mock }) => mock.calls.length > 0)).toHaveLength(1);
    expect(onWait.mock.calls).toEqual([[expect.stringMatching(/asked-int8-.*lock: waiting for another process/)]]);
    expect((await readdir(dirname(folders[0]!))).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('refuses a precision that there is not', async () => {
    const wrong: { precision: 'int8' } = JSON.parse('{"precision": "int3"}');
    await expect(folderAt(at('model'), wrong)).rejects.toThrow(
      'precision: expected fp32, int8, int4, auto, found int3',
    );
  });

  it('refuses to make another precision of a quantised folder', async () => {
    await writeQuantised(at('model'), at('only-int8'), 'int8');
    await expect(folderAt(at('only-int8'), { precision: 'int4' })).rejects.toThrow(UsageError);
    await expect(folderAt(at('only-int8'), { precision: 'fp32' })).rejects.toThrow(
      /only-int8 is kept in int8; for fp32, name the model/,
    );
  });
});
