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
    /** `tags`: in place of its captions a picture has a few of its tags, such as "card, wildcard, game" for a joker. */
    captions: z.enum(['captions', 'tags']).default('captions'),
    /** So many pictures of one kind (`group` and `subgroup`) share a batch: negatives that are hard to tell apart. */
    alike: z.int().positive().default(1),
  }),
  async ({ path, split, sources, captions, alike }, onBad) => {
    const all = await readCutouts(path, { split, sources, onBad });
    const read = captions === 'tags' ? all.filter((row) => wordsOf(row).length > 0) : all;
    const rows = alike === 1 ? read : byKind(read);
    const records = rows.flatMap((row) => {
      const where = `${join(path, 'data.jsonl')}: id ${row.id}`;
      const make = () => ({
        id: String(row.id),
        imageId: String(row.id),
        image: imageFile(join(path, row.image), `${where}: field image`),
        captions: captions === 'tags' ? tagCaptions(row) : checkCaptions(row.captions, `${where}: field captions`),
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

/** Tags that are words: of clip art, some are what a program failed to print ("hash(0x885c2bc)"). */
const wordsOf = ({ tags = [] }: CutoutRow): string[] => tags.filter((tag) => /^\p{L}[\p{L}' -]*$/u.test(tag));

/** Four draws of up to three tags each; one that is alone stands after the caption, as it says too little. */
function tagCaptions(row: CutoutRow): string[] {
  const words = wordsOf(row);
  const draws = random(row.id, 'tags');
  const few = () => draws.shuffle(words).slice(0, 3);
  const texts = words.length === 1 ? [[row.caption, ...words]] : [few(), few(), few(), few()];
  return [...new Set(texts.map((text) => text.join(', ')))];
}
