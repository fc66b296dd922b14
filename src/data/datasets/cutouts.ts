import { join } from 'node:path';
import { z } from 'zod';
import { readCutouts } from '../cutout.ts';
import { keepGood } from '../json-lines.ts';
import { checkCaptions, defineDataset, imageFile, recordsOf } from './dataset.ts';

/** A set of cut-outs with alpha (a folder with `data.jsonl`): one split of it, perhaps of some sources only. */
export const cutouts = defineDataset(
  z.strictObject({
    type: z.literal('cutouts'),
    path: z.string(),
    split: z.string().default('train'),
    sources: z.array(z.string()).optional(),
  }),
  async ({ path, split, sources }, onBad) => {
    const rows = await readCutouts(path, { split, sources, onBad });
    const records = rows.flatMap((row) => {
      const where = `${join(path, 'data.jsonl')}: id ${row.id}`;
      const make = () => ({
        id: String(row.id),
        imageId: String(row.id),
        image: imageFile(join(path, row.image), `${where}: field image`),
        captions: checkCaptions(row.captions, `${where}: field captions`),
      });
      return keepGood(make, onBad);
    });
    return recordsOf(records, onBad);
  },
);
