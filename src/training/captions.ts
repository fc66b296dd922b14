import { z } from 'zod';
import { UsageError } from '../core/index.ts';
import { datasetConfig, drawCaption, type ImageTextRecord, openDataset } from '../data/index.ts';
import { blipCaption } from '../text/index.ts';
import { exchangeCells } from './exchanged-cells.ts';
import type { ReadEncoder } from './pretrained.ts';
import { dataSection, type Recipe } from './recipe.ts';
import type { Drawn } from './step-images.ts';
import { styleShifts } from './style-shifts.ts';
import type { DataSource, Mix } from './training-data.ts';

/** What the tasks that learn from captions share. */

/** The data of their recipes. */
export const captionData = dataSection(datasetConfig).extend({
  /** The share of things in scenes that another scene's of the batch take the place of: see ./exchanged-cells. */
  exchange_cells: z.number().min(0).max(1).default(0),
  /** How far the features of things are moved at most, by the difference of two pictures of one caption: see ./style-shifts. */
  style_shift: z.number().nonnegative().default(0),
});

/** A recipe with these data. */
export interface CaptionRecipe extends Recipe {
  readonly data: z.output<typeof captionData>;
}

/** Where their records come from. Throws UsageError where features are to be changed and there are none. */
export function captionSource(images: ReadEncoder, { model, data, run }: CaptionRecipe): DataSource<ImageTextRecord> {
  const { exchange_cells: rate, style_shift: strength } = data;
  for (const [key, value] of Object.entries({ exchange_cells: rate, style_shift: strength })) {
    if (value > 0 && !model.freeze_vit) {
      throw new UsageError(`data.${key}: expected 0, because model.freeze_vit is false`);
    }
  }
  const { seed } = run;
  const mixes: Mix<ImageTextRecord>[] = [];
  if (rate > 0) mixes.push(exchangeCells(images.encoder, { rate, seed }));
  if (strength > 0) mixes.push(styleShifts(images.encoder, { strength, seed }));
  return { images, dataset: openDataset, mix: inTurn(mixes) };
}

/** One after the other. */
const inTurn =
  (mixes: readonly Mix<ImageTextRecord>[]): Mix<ImageTextRecord> =>
  async (batch, step, training) => {
    let mixed = batch;
    for (const mix of mixes) mixed = await mix(mixed, step, training);
    return mixed;
  };

/** One of a record's captions, drawn anew in every epoch for its unit, as the reference normalises it. */
export const captionOf = ({ record, epoch, unit }: Drawn<ImageTextRecord>, seed: number): string =>
  blipCaption(drawCaption(record, { seed, epoch, index: unit }));
