import { z } from 'zod';
import { UsageError } from '../core/index.ts';
import { datasetConfig, drawCaption, type ImageTextRecord, openDataset } from '../data/index.ts';
import { blipCaption } from '../text/index.ts';
import { exchangeCells } from './exchanged-cells.ts';
import type { ReadEncoder } from './pretrained.ts';
import { dataSection, type Recipe } from './recipe.ts';
import type { Drawn } from './step-images.ts';
import type { DataSource } from './training-data.ts';

/** What the tasks that learn from captions share. */

/** The data of their recipes. */
export const captionData = dataSection(datasetConfig).extend({
  /** The share of things in scenes that another scene's of the batch take the place of: see ./exchanged-cells. */
  exchange_cells: z.number().min(0).max(1).default(0),
});

/** A recipe with these data. */
export interface CaptionRecipe extends Recipe {
  readonly data: z.output<typeof captionData>;
}

/** Where their records come from. Throws UsageError where cells are to be exchanged and there are no features of them. */
export function captionSource(images: ReadEncoder, { model, data, run }: CaptionRecipe): DataSource<ImageTextRecord> {
  const rate = data.exchange_cells;
  if (rate > 0 && !model.freeze_vit) {
    throw new UsageError('data.exchange_cells: expected 0, because model.freeze_vit is false');
  }
  const mix = rate > 0 ? exchangeCells(images.encoder, { rate, seed: run.seed }) : undefined;
  return { images, dataset: openDataset, mix };
}

/** One of a record's captions, drawn anew in every epoch for its unit, as the reference normalises it. */
export const captionOf = ({ record, epoch, unit }: Drawn<ImageTextRecord>, seed: number): string =>
  blipCaption(drawCaption(record, { seed, epoch, index: unit }));
