import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
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
