import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { UsageError } from '../core/index.ts';

/** Appends all the bytes to the file that is being written. */
export type Write = (bytes: Uint8Array | string) => Promise<void>;

/**
 * Writes a file that appears under its name only when it is whole: a temporary file in the same folder, fsync, rename.
 * Where `body` throws, nothing is left behind and the old file, if there was one, is untouched. What a link leads to is
 * replaced, not the link; a pipe or a device is written as it is. Throws UsageError for a folder.
 */
export async function writeAtomically(path: string, body: (write: Write) => Promise<void>): Promise<void> {
  const target = await outputTarget(path);
  if (target === 'stream') return writeInto(await open(path, 'w'), body);
  const place = target === 'new' ? path : await realpath(path);
  await mkdir(dirname(place), { recursive: true });
  const temporary = join(dirname(place), temporaryName(basename(place)));
  const file = await open(temporary, 'wx');
  try {
    await writeInto(file, async (write) => {
      await body(write);
      await file.sync();
    });
    await rename(temporary, place);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

const temporaryName = (name: string): string => `.${name}.${randomBytes(6).toString('hex')}.tmp`;
const isTemporary = (file: string): boolean => /^\..+\.[0-9a-f]{12}\.tmp$/.test(file);

/** Removes what writers that were killed left in a folder, if there is one. Nobody may be writing into it. */
export async function removeTemporaries(folder: string): Promise<void> {
  if (!existsSync(folder)) return;
  for (const file of await readdir(folder)) if (isTemporary(file)) await rm(join(folder, file), { force: true });
}

/** Closes the file, whatever happens. */
async function writeInto(file: FileHandle, body: (write: Write) => Promise<void>): Promise<void> {
  try {
    // Unlike write(), writeFile() on a handle goes on from the current position until every byte is out.
    await body((bytes) => file.writeFile(bytes));
  } finally {
    await file.close();
  }
}

/**
 * What a file to write is now: nothing yet, a file, or a pipe or device, which cannot be read back. Throws UsageError for
 * a folder: commands ask before they compute what goes there.
 */
export async function outputTarget(path: string): Promise<'new' | 'file' | 'stream'> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory()) {
    throw new UsageError(`${path}: expected a file to write to, found a folder; name a file in it`);
  }
  return found ? (found.isFile() ? 'file' : 'stream') : 'new';
}

/** Writes text atomically. */
export const writeText = (path: string, text: string): Promise<void> => writeAtomically(path, (write) => write(text));

/** Writes bytes atomically. */
export const writeBytes = (path: string, bytes: Uint8Array): Promise<void> =>
  writeAtomically(path, (write) => write(bytes));

/** Writes a value as indented JSON, atomically. */
export const writeJson = (path: string, content: unknown): Promise<void> =>
  writeText(path, `${JSON.stringify(content, null, 2)}\n`);
