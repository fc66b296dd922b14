import { join } from 'node:path';
import { z } from 'zod';
import { checkRow, keepGood, readJson } from '../json-lines.ts';
import { checkCaptions, defineDataset, imageFile, recordsOf } from './dataset.ts';

const file = z.object({ images: z.array(z.unknown()) });
const splitOf = z.object({ split: z.string() });
const entry = z.object({
  /** COCO's folder, `val2014`; Flickr30k has none. */
  filepath: z.string().default(''),
  filename: z.string().min(1),
  /** COCO's own number of the image; Flickr30k has none. */
  cocoid: z.int().optional(),
  imgid: z.int(),
  sentences: z.array(z.object({ raw: z.string() })),
});

/** What each split takes: the paper trains on COCO's train and restval, 113,287 pictures in all, as LAVIS does. */
const splits = { train: ['train', 'restval'], restval: ['restval'], val: ['val'], test: ['test'] };
type Split = keyof typeof splits;

/**
 * COCO captions and Flickr30k as Karpathy split them: `dataset_coco.json` or `dataset_flickr30k.json`, and the folder
 * that holds the pictures (for COCO the one that holds `train2014` and `val2014`).
 */
export const karpathy = defineDataset(
  z.strictObject({
    type: z.literal('karpathy'),
    path: z.string(),
    images: z.string(),
    split: z.enum(Object.keys(splits) as [Split]).default('train'),
  }),
  async ({ path, images, split }, onBad) => {
    const rows = (await readJson(path, file)).images;
    const records = rows.flatMap((row, i) => {
      const where = `${path}: images.${i}`;
      const make = () => {
        if (!splits[split].includes(checkRow(row, splitOf, where).split)) return [];
        const { filepath, filename, cocoid, imgid, sentences } = checkRow(row, entry, where);
        const id = String(cocoid ?? imgid);
        return [
          {
            id,
            imageId: id,
            image: imageFile(join(images, filepath, filename), `${where}: field filename`),
            captions: checkCaptions(
              sentences.map(({ raw }) => raw),
              `${where} (${filename}): field sentences`,
            ),
          },
        ];
      };
      return keepGood(make, onBad).flat();
    });
    return recordsOf(records, onBad, path);
  },
);
