import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UsageError } from '../core/index.ts';
import { captionRecord, RecordFile, type Settings } from './record-file.ts';

let folder: string;
let out: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-records-'));
  out = join(folder, 'out.jsonl');
});
afterEach(() => rm(folder, { recursive: true }));

const open = (path: string, settings: Settings = {}) => RecordFile.open(path, captionRecord, settings);
const record = { image: 'a.webp', caption: 'a', score: -1 };

describe('a record file', () => {
  it('that is finished goes on only with the settings that it was written with', async () => {
    const begun = await open(out, { model: 'a', prompt: undefined });
    await begun.add(record);
    await begun.finish(['a.webp']);
    expect((await open(out, { model: 'a' })).has('a.webp')).toBe(true);
    const refusal = `${out} was begun with model "a", not "b": go on with what it was begun with, remove it, or name another`;
    await expect(open(out, { model: 'b' })).rejects.toThrow(refusal);
    await rm(out); // whatever settings were kept beside it
    expect((await open(out, { model: 'b' })).has('a.webp')).toBe(false);
    await writeFile(out, `${JSON.stringify(record)}\n`);
    await writeFile(`${out}.settings`, 'no JSON\n');
    await expect(open(out)).rejects.toThrow(`${out}.settings: expected the settings of a run; remove ${out}`);
  });

  it('cannot be a folder', async () => {
    await expect(open(folder)).rejects.toThrow(UsageError);
  });

  it.skipIf(process.platform === 'win32')('may be a pipe, which has all lines at the end', async () => {
    execFileSync('mkfifo', [out]);
    const file = await open(out);
    await file.add(record);
    const [read] = await Promise.all([readFile(out, 'utf8'), file.finish(['a.webp'])]);
    expect(JSON.parse(read)).toEqual(record);
    expect(await readdir(folder)).toEqual(['out.jsonl']);
  });
});
