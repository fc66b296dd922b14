import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { tellOfLock, withLock } from './lock.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-lock-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('a lock', () => {
  it('of a process that has died is taken over', async () => {
    const path = join(folder, 'x.lock');
    const child = spawn(process.execPath, ['-e', '']);
    await new Promise((exited) => child.on('exit', exited));
    await writeFile(path, JSON.stringify({ host: hostname(), pid: child.pid }));
    expect(await withLock(path, async () => 'done')).toBe('done');
  });
  it('lets one in at a time, and lets go of it when the work fails', async () => {
    const path = join(folder, 'x.lock');
    let inside = 0;
    const work = () =>
      withLock(path, async () => {
        inside += 1;
        await new Promise((turn) => setImmediate(turn));
        expect(inside).toBe(1);
        inside -= 1;
      });
    await Promise.all([work(), work(), work()]);
    await expect(withLock(path, () => Promise.reject(new Error('failed')))).rejects.toThrow('failed');
    await work();
  });

  it.each([
    ['of another host', JSON.stringify({ host: 'elsewhere', pid: 1 })],
    ['that is empty', ''],
    ['that is no JSON', 'locked'],
  ])('%s is waited for, and taken over when nobody has touched it for half a minute', async (_, content) => {
    const path = join(folder, 'x.lock');
    await writeFile(path, content);
    const told: string[] = [];
    const onWait = (text: string) => {
      told.push(text);
      void utimes(path, new Date(), new Date(Date.now() - 31_000));
    };
    expect(await withLock(path, async () => 'done', tellOfLock(path, { onWait }))).toBe('done');
    expect(told).toEqual([`${path}: waiting for another process, which holds this lock`]);
    expect(existsSync(path)).toBe(false);
  });

  it('is touched while it is held', async () => {
    const path = join(folder, 'x.lock');
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      await withLock(path, async () => {
        await utimes(path, new Date(), new Date(0));
        vi.advanceTimersByTime(5_000);
        await vi.waitFor(async () => expect((await stat(path)).mtimeMs).toBeGreaterThan(Date.now() - 60_000));
      });
    } finally {
      vi.useRealTimers();
    }
  });

  it('that another has taken over is left to that one', async () => {
    const path = join(folder, 'x.lock');
    await withLock(path, async () => {
      await rm(path);
      await writeFile(path, 'of another');
    });
    expect(await readFile(path, 'utf8')).toBe('of another');
  });
});
