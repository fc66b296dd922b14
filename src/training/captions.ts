import { datasetConfig, drawCaption, type ImageTextRecord } from '../data/index.ts';
import { blipCaption } from '../text/index.ts';
import { dataSection } from './recipe.ts';
import type { Drawn } from './step-images.ts';

/** What the tasks that learn from captions share. */

/** The data of their recipes. */
export const captionData = dataSection(datasetConfig);

/** One of a record's captions, drawn anew in every epoch for its unit, as the reference normalises it. */
export const captionOf = ({ record, epoch, unit }: Drawn<ImageTextRecord>, seed: number): string =>
  blipCaption(drawCaption(record, { seed, epoch, index: unit }));
