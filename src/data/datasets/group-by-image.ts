import type { ImageTextRecord, Records } from './dataset.ts';

/** The pictures of a dataset, each once, under its `imageId`, with the captions of all its records. */
export function groupByImage(dataset: Records): ImageTextRecord[] {
  const byImage = new Map<string, ImageTextRecord>();
  for (let i = 0; i < dataset.length; i++) {
    const record = dataset.record(i);
    const { imageId } = record;
    const earlier = byImage.get(imageId)?.captions ?? [];
    byImage.set(imageId, { ...record, id: imageId, captions: [...earlier, ...record.captions] });
  }
  return [...byImage.values()];
}
