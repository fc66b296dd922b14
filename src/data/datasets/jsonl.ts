import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { keepGood, readJsonLines } from '../json-lines.ts';
import { checkCaptions, defineDataset, imageFile, oneOrNone, recordsOf } from './dataset.ts';

const line = z.object({
  image: z.string().min(1),
  caption: z.string().optional(),
  captions: z.array(z.string()).optional(),
  id: z.union([z.string(), z.number()]).optional(),
  image_id: z.union([z.string(), z.number()]).optional(),
});

/** A JSON-lines file: `image` (relative to the file), `caption` or `captions`, and perhaps `id` and `image_id`. */
export const jsonl = defineDataset(
  z.strictObject({ type: z.literal('jsonl'), path: z.string() }),
  async ({ path }, onBad) => {
    const lines = await readJsonLines(path, line, onBad);
    const records = lines.flatMap(({ where, row }) => {
      const make = () => ({
        id: String(row.id ?? where),
        imageId: String(row.image_id ?? row.image),
        image: imageFile(resolve(dirname(path), row.image), `${where}: field image`),
        captions: checkCaptions(row.captions ?? oneOrNone(row.caption), `${where}: field caption`),
      });
      return keepGood(make, onBad);
    });
    return recordsOf(records, onBad, path);
  },
);
