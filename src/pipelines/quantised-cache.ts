import { createHash } from 'node:crypto';
import { readdir, readFile, realpath, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { UsageError } from '../core/index.ts';
import {
  Checkpoint,
  exists,
  hubSettings,
  readJsonObject,
  tellOfLock,
  type WaitOptions,
  withLock,
} from '../hub/index.ts';
import { type Precision, precisions } from '../quantise/index.ts';
import { textFiles } from './copy-text.ts';
import {
  layout,
  type PrecisionChoice,
  precisionChoices,
  type QuantiseOptions,
  storedPrecision,
  writeQuantised,
} from './quantised-folder.ts';

/** `onWait` is told where another process writes the same folder. */
interface FolderOptions extends QuantiseOptions, WaitOptions {
  readonly precision?: PrecisionChoice | undefined;
  readonly device?: string | undefined;
}

/**
 * The folder of a model at a precision: the model's own where nothing has to change, else one in the cache, beside the
 * hub's, which is written when it is first asked for, by one process at a time, and takes the place of those that were
 * made of the model before its files changed. Throws UsageError where a model that was quantised before is asked for at
 * another precision, or for one that there is not.
 */
export async function folderAt(
  folder: string,
  { precision, device = 'cpu', ...options }: FolderOptions,
): Promise<string> {
  if (precision !== undefined && !precisionChoices.includes(precision)) {
    throw new UsageError(`precision: expected ${precisionChoices.join(', ')}, found ${precision}`);
  }
  const stored = storedPrecision(await readJsonObject(join(folder, 'config.json')));
  const chosen = precision === 'auto' ? (stored ?? (device === 'cpu' ? 'int8' : 'fp32')) : (precision ?? stored);
  if (stored && chosen !== stored) {
    throw new UsageError(`${folder} is kept in ${stored}; for ${chosen}, name the model that it was made from`);
  }
  if (stored || chosen === undefined || chosen === 'fp32') return folder;
  const [cache, stem] = [await cacheFolder(), await stemOf(folder, chosen)];
  const name = `${stem}${await contentHash(folder)}`;
  const cached = join(cache, name);
  if (await exists(cached)) return cached;
  const write = async () => {
    if (await exists(cached)) return; // another process was faster
    await removeFrom(cache, (other) => isUnfinished(other, stem)); // of processes that were killed: this one has the lock
    await writeQuantised(folder, cached, chosen, options);
    await removeFrom(cache, (other) => other.startsWith(stem) && other !== name);
  };
  const lock = join(cache, `.${stem}lock`);
  await withLock(lock, write, tellOfLock(lock, options));
  return cached;
}

/** Removes all that `folderAt` has made of a model, whatever its files were then. */
export async function removeQuantised(folder: string): Promise<void> {
  const stems = await Promise.all(precisions.map((precision) => stemOf(folder, precision)));
  await removeFrom(await cacheFolder(), (name) =>
    stems.some((stem) => name.startsWith(stem) || isUnfinished(name, stem)),
  );
}

const cacheFolder = async (): Promise<string> => join(dirname((await hubSettings()).cacheFolder), 'blip2');

/** What the names of all copies of a model at a precision begin with: a model is its place. */
async function stemOf(folder: string, precision: Precision): Promise<string> {
  const place = await realpath(folder);
  const hash = createHash('sha256').update(place).digest('hex').slice(0, 12);
  return `${basename(place)}-${precision}-${hash}-`;
}

/** As `writeQuantised` calls a folder that is not whole yet. */
const isUnfinished = (name: string, stem: string): boolean => name.startsWith(`.${stem}`) && name.endsWith('.tmp');

/** Of everything that a copy is made from: the contents of what is copied, the sizes and times of the weights. */
async function contentHash(folder: string): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(layout));
  for (const file of await textFiles(folder)) {
    const bytes = await readFile(join(folder, file));
    hash.update(JSON.stringify([file, bytes.length])).update(bytes);
  }
  for (const file of (await Checkpoint.open(folder)).files) {
    const { size, mtimeMs } = await stat(file);
    hash.update(JSON.stringify([basename(file), size, mtimeMs]));
  }
  return hash.digest('hex').slice(0, 16);
}

async function removeFrom(cache: string, goes: (name: string) => boolean): Promise<void> {
  const names = await readdir(cache).catch(() => []); // nothing was ever cached
  for (const name of names.filter(goes)) await rm(join(cache, name), { recursive: true, force: true });
}
