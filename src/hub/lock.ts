import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, readFile, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';

const POLL_MS = 100;
/** How often a lock is touched while it is held, and when one that was not touched counts as abandoned. */
const TOUCH_MS = 5_000;
const STALE_MS = 30_000;

export interface LockOptions {
  /** Ends the waiting. */
  readonly signal?: AbortSignal | undefined;
  /** Called once if another holds the lock. */
  readonly onWait?: (() => void) | undefined;
}

/** How whoever waits for a lock is told so, in one line, and can end it. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onWait?: ((text: string) => void) | undefined;
}

/** Lock options that name the lock file to who waits. */
export const tellOfLock = (path: string, { signal, onWait }: WaitOptions): LockOptions => ({
  signal,
  onWait: () => onWait?.(`${path}: waiting for another process, which holds this lock`),
});

/**
 * Runs `body` while holding a lock file, which other processes wait for. A lock whose process has died on this machine,
 * or that no other machine's has touched for half a minute, whatever is in it, is taken over. What the lock protects is
 * also verified by content, so that a lost race costs work, never correctness.
 */
export async function withLock<T>(
  path: string,
  body: () => Promise<T>,
  { signal, onWait }: LockOptions = {},
): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  let lock = await tryLock(path);
  for (let waits = false; !lock; lock = await tryLock(path)) {
    if (await isAbandoned(path)) await rm(path, { force: true });
    else {
      if (!waits) onWait?.();
      waits = true;
      await sleep(POLL_MS, undefined, { signal });
    }
  }
  const { file, text } = lock;
  // By its handle: a lock that another has taken over is not touched. Where touching fails, the lock may be lost.
  const touching = setInterval(() => void file.utimes(new Date(), new Date()).catch(() => {}), TOUCH_MS);
  try {
    return await body();
  } finally {
    clearInterval(touching);
    await file.close();
    if ((await readFile(path, 'utf8').catch(() => '')) === text) await rm(path, { force: true });
  }
}

/** A lock that is held: its file, and what tells it from another's. */
interface Lock {
  readonly file: FileHandle;
  readonly text: string;
}

async function tryLock(path: string): Promise<Lock | undefined> {
  try {
    const file = await open(path, 'wx');
    const text = JSON.stringify({ host: hostname(), pid: process.pid, id: randomUUID() });
    await file.writeFile(text);
    return { file, text };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return undefined;
    throw error;
  }
}

const owner = z.object({ host: z.string(), pid: z.int() });

async function isAbandoned(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (!found) return false; // just released
  const { data } = owner.safeParse(parseJson(await readFile(path, 'utf8').catch(() => '')));
  if (data?.host === hostname()) return !isRunning(data.pid); // what it computes may keep it from touching the lock
  return Date.now() - found.mtimeMs > STALE_MS;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // just created, or not written by this program
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'; // alive, and someone else's
  }
}
