import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { DataError } from '../core/index.ts';
import type { Picture, VectorIndex } from './vector-index.ts';

/** Reads a file to know it by its content. Throws DataError where it cannot be read. */
export async function pictureAt(path: string): Promise<Picture> {
  const file = resolve(path);
  return { id: await contentOf(file), path, file };
}

async function contentOf(file: string): Promise<string> {
  try {
    return createHash('sha256')
      .update(await readFile(file))
      .digest('hex');
  } catch (cause) {
    throw new DataError(`${file}: expected an image file, but ${String(cause)}`, { cause });
  }
}

/** What has to be done for an index to hold pictures as they are now. */
export interface Plan {
  /** Not there yet: to be encoded. */
  readonly fresh: readonly Picture[];
  /** There, but their file was moved. */
  readonly renamed: readonly Picture[];
  /** What these files held before. */
  readonly replaced: readonly Picture[];
}

export async function planOf(index: VectorIndex, pictures: readonly Picture[]): Promise<Plan> {
  const known = await index.find({ ids: pictures.map(({ id }) => id), files: pictures.map(({ file }) => file) });
  const byId = new Map(known.map((picture) => [picture.id, picture]));
  const fresh: Picture[] = [];
  const renamed: Picture[] = [];
  for (const picture of pictures) {
    const same = byId.get(picture.id);
    // A second copy of a picture changes nothing, as long as the first is where it was.
    if (same && (same.file === picture.file || (await isStillThere(same)))) continue;
    (same ? renamed : fresh).push(picture);
    byId.set(picture.id, picture);
  }
  const content = new Map(pictures.map(({ id, file }) => [file, id]));
  const replaced = known.filter(
    (picture) => (content.get(picture.file) ?? picture.id) !== picture.id && byId.get(picture.id) === picture,
  );
  return { fresh, renamed, replaced };
}

const isStillThere = ({ id, file }: Picture): Promise<boolean> =>
  contentOf(file).then(
    (content) => content === id,
    () => false,
  );
