import { join } from 'node:path';
import { z } from 'zod';
import { checkRow, keepGood, readElements } from '../json-lines.ts';
import { checkCaptions, defineDataset, type ImageTextRecord, imageFile, recordsOf } from './dataset.ts';

const row = z.object({
  /** In the folder of pictures: `val2014/COCO_val2014_000000391895.jpg`. */
  image: z.string().min(1),
  caption: z.union([z.string(), z.array(z.string())]),
  image_id: z.union([z.string(), z.number()]).optional(),
  /** NoCaps' name for it. */
  img_id: z.union([z.string(), z.number()]).optional(),
});

/**
 * Captions and retrieval in LAVIS's own annotations (`coco_karpathy_train.json` and the like): for training a row has
 * one caption, and a picture several rows; for evaluation a row has all of a picture's captions.
 */
export const lavis = defineDataset(
  z.strictObject({ type: z.literal('lavis'), path: z.string(), images: z.string() }),
  async ({ path, images }, onBad) => {
    const records: ImageTextRecord[] = [];
    for await (const { key: i, value: unchecked } of readElements(path)) {
      const where = `${path}: ${i}`;
      const make = () => {
        const { image, caption, image_id, img_id } = checkRow(unchecked, row, where);
        const imageId = cocoNumber(image) ?? String(image_id ?? img_id ?? image);
        return {
          id: Array.isArray(caption) ? imageId : `${imageId}, row ${i}`,
          imageId,
          image: imageFile(join(images, image), `${where}: field image`),
          captions: checkCaptions([caption].flat(), `${where} (${image}): field caption`),
        };
      };
      records.push(...keepGood(make, onBad));
    }
    return recordsOf(records, onBad, path);
  },
);

/** COCO's number of a picture, which submissions name it by: evaluation files have it in the file's name only. */
function cocoNumber(image: string): string | undefined {
  const [, digits] = /COCO_\w+_(\d{12})\.jpg$/.exec(image) ?? [];
  return digits && String(Number(digits));
}
