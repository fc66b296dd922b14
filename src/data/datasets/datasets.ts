import { z } from 'zod';
import { DataError, nearest, UsageError } from '../../core/index.ts';
import { cutouts } from './cutouts.ts';
import type { DatasetType, Records } from './dataset.ts';
import { folder } from './folder.ts';
import { jsonl } from './jsonl.ts';
import { scenes } from './scenes.ts';
import { webdataset } from './webdataset.ts';

/** The kinds of datasets, by the `type` that a recipe names. */
export const datasets = { jsonl, folder, webdataset, cutouts, scenes } satisfies Record<string, DatasetType>;
export type DatasetName = keyof typeof datasets;

/** A recipe's `data` section: a `type` and that type's options. */
export type DatasetConfig = z.input<(typeof datasets)[DatasetName]['options']>;
const [firstOptions, ...moreOptions] = Object.values(datasets).map(({ options }) => options);
export const datasetConfig = z.discriminatedUnion('type', [firstOptions!, ...moreOptions]);

const isKnown = (name: unknown): name is DatasetName => typeof name === 'string' && Object.hasOwn(datasets, name);

export interface OpenOptions {
  /** Leave out records that cannot be used, and count them, instead of throwing. Default: false. */
  readonly skipBad?: boolean;
  /** Called with each error that `skipBad` passes over. */
  readonly onSkip?: (error: DataError) => void;
}

export interface Dataset extends Records {
  /** How many records were left out. */
  readonly skipped: number;
}

/**
 * Opens the dataset of a recipe's `data` section. Throws UsageError for wrong options, and DataError for records that
 * cannot be used (see OpenOptions) or if none is left.
 */
export async function openDataset(
  config: { readonly type: string; readonly [option: string]: unknown },
  options: OpenOptions = {},
): Promise<Dataset> {
  const { type } = config;
  if (!isKnown(type)) {
    const guess = nearest(type, Object.keys(datasets));
    throw new UsageError(
      `data.type: expected one of ${Object.keys(datasets).join(', ')}, found ${type}${guess ? `; ${guess}?` : ''}`,
    );
  }
  let skipped = 0;
  const skip = (error: DataError) => {
    skipped += 1;
    options.onSkip?.(error);
  };
  const records = await datasets[type].open(config, options.skipBad ? skip : undefined);
  if (records.length === 0) throw new DataError(`the dataset (${type}) has no usable record; ${skipped} were skipped`);
  return { ...records, skipped };
}

/** Datasets one after the other. */
export function concatenate(parts: readonly Dataset[]): Dataset {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return {
    length,
    skipped: parts.reduce((sum, part) => sum + part.skipped, 0),
    record(index) {
      let left = index;
      for (const part of parts) {
        if (left < part.length) return part.record(left);
        left -= part.length;
      }
      throw new DataError(`record ${index}: the datasets have ${length} records`);
    },
  };
}
