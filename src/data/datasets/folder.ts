import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { DataError } from '../../core/index.ts';
import { imageName } from '../../image/index.ts';
import { keepGood, type OnBad, report } from '../json-lines.ts';
import { checkCaptions, defineDataset, type ImageTextRecord, imageFile, recordsOf } from './dataset.ts';

/** A folder, with its subfolders: each image has its captions in a text file of the same name, one a line. */
export const folder = defineDataset(
  z.strictObject({ type: z.literal('folder'), path: z.string() }),
  async ({ path }, onBad) => {
    const files = new Set((await list(path)).sort());
    const images = [...files].flatMap((file) => {
      const stem = imageName.exec(file)?.[1];
      return stem === undefined ? [] : [{ file, sidecar: `${stem}.txt` }];
    });
    reportOrphans(path, files, new Set(images.map(({ sidecar }) => sidecar)), onBad);
    const records: ImageTextRecord[] = [];
    for (const { file, sidecar } of images) {
      const text = files.has(sidecar) ? await readFile(join(path, sidecar), 'utf8') : '';
      const captions = text.split('\n').filter((line) => line.trim() !== '');
      const make = () => ({
        id: file,
        imageId: file,
        image: imageFile(join(path, file), path),
        captions: checkCaptions(captions, `${join(path, file)}: captions in ${sidecar}`),
      });
      records.push(...keepGood(make, onBad));
    }
    return recordsOf(records, onBad);
  },
);

async function list(path: string): Promise<string[]> {
  try {
    return await readdir(path, { recursive: true });
  } catch (cause) {
    throw new DataError(`${path}: expected a folder of images, but it cannot be read: ${cause}`, { cause });
  }
}

/** Text files that name no image. */
function reportOrphans(path: string, files: ReadonlySet<string>, sidecars: ReadonlySet<string>, onBad?: OnBad): void {
  for (const file of files) {
    if (!file.endsWith('.txt') || sidecars.has(file)) continue;
    report(new DataError(`${join(path, file)}: expected an image of the same name, but there is none`), onBad);
  }
}
