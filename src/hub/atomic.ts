import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Appends all the bytes to the file that is being written. */
export type Write = (bytes: Uint8Array | string) => Promise<void>;

/**
 * Writes a file that appears under its name only when it is whole: a temporary file in the same folder, fsync, rename.
 * Where `body` throws, nothing is left behind and the old file, if there was one, is untouched.
 */
export async function writeAtomically(path: string, body: (write: Write) => Promise<void>): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = join(dirname(path), temporaryName(basename(path)));
  const file = await open(temporary, 'wx');
  try {
    try {
      // Unlike write(), writeFile() on a handle goes on from the current position until every byte is out.
      await body((bytes) => file.writeFile(bytes));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
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

/** Writes text atomically. */
export const writeText = (path: string, text: string): Promise<void> => writeAtomically(path, (write) => write(text));

/** Writes bytes atomically. */
export const writeBytes = (path: string, bytes: Uint8Array): Promise<void> =>
  writeAtomically(path, (write) => write(bytes));

/** Writes a value as indented JSON, atomically. */
export const writeJson = (path: string, content: unknown): Promise<void> =>
  writeText(path, `${JSON.stringify(content, null, 2)}\n`);
