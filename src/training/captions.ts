import { z } from 'zod';
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

/** Where their records come from. */
export const captionSource = (images: ReadEncoder, { data, run }: CaptionRecipe): DataSource<ImageTextRecord> => ({
  images,
  dataset: openDataset,
  mix:
    data.exchange_cells > 0 ? exchangeCells(images.encoder, { rate: data.exchange_cells, seed: run.seed }) : undefined,
});

/** One of a record's captions, drawn anew in every epoch for its unit, as the reference normalises it. */
export const captionOf = ({ record, epoch, unit }: Drawn<ImageTextRecord>, seed: number): string =>
  blipCaption(drawCaption(record, { seed, epoch, index: unit }));
