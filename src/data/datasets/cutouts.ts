import { join } from 'node:path';
import { z } from 'zod';
import { random } from '../../core/index.ts';
import { type CutoutRow, readCutouts } from '../cutout.ts';
import { keepGood } from '../json-lines.ts';
import { checkCaptions, defineDataset, imageFile, recordsOf } from './dataset.ts';

/** A set of cut-outs with alpha (a folder with `data.jsonl`): one split of it, perhaps of some sources only. */
export const cutouts = defineDataset(
  z.strictObject({
    type: z.literal('cutouts'),
    path: z.string(),
    split: z.string().default('train'),
    sources: z.array(z.string()).optional(),
    /** So many pictures of one kind (`group` and `subgroup`) share a batch: negatives that are hard to tell apart. */
    alike: z.int().positive().default(1),
  }),
  async ({ path, split, sources, alike }, onBad) => {
    const read = await readCutouts(path, { split, sources, onBad });
    const rows = alike === 1 ? read : byKind(read);
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
    return { ...recordsOf(records, onBad, join(path, 'data.jsonl')), together: alike };
  },
);

/** Kind after kind, in a random but fixed order within each. */
function byKind(rows: readonly CutoutRow[]): CutoutRow[] {
  const kind = ({ group, subgroup }: CutoutRow) => `${group}/${subgroup}`;
  return random(0, 'kinds')
    .shuffle(rows)
    .sort((a, b) => (kind(a) < kind(b) ? -1 : Number(kind(a) > kind(b))));
}
