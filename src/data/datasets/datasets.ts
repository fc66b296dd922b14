import { z } from 'zod';
import { DataError, nearest, UsageError } from '../../core/index.ts';
import { cutouts } from './cutouts.ts';
import type { DatasetType, ImageRecord, ImageTextRecord, QuestionRecord, Records } from './dataset.ts';
import { folder } from './folder.ts';
import { gqa } from './gqa.ts';
import { jsonl } from './jsonl.ts';
import { jsonlQuestions } from './jsonl-questions.ts';
import { karpathy } from './karpathy.ts';
import { lavis } from './lavis.ts';
import { parquet, parquetQuestions } from './parquet.ts';
import { sceneQuestions } from './scene-questions.ts';
import { scenes } from './scenes.ts';
import { twinScenes } from './twin-scenes.ts';
import { vqa } from './vqa.ts';
import { webdataset } from './webdataset.ts';

/** The kinds of datasets with captions, by the `type` that a recipe names: a new one is a file and a line here. */
export const datasets = {
  jsonl,
  folder,
  webdataset,
  parquet,
  karpathy,
  lavis,
  cutouts,
  scenes,
  twin_scenes: twinScenes,
} satisfies Record<string, DatasetType>;
export type DatasetName = keyof typeof datasets;

/** The kinds of datasets with questions and answers. */
export const questionDatasets = {
  jsonl: jsonlQuestions,
  parquet: parquetQuestions,
  vqa,
  gqa,
  scenes: sceneQuestions,
} satisfies Record<string, DatasetType<QuestionRecord>>;
export type QuestionDatasetName = keyof typeof questionDatasets;

/** A dataset of a recipe's `data` section: a `type` and that type's options. */
export type DatasetConfig = z.input<(typeof datasets)[DatasetName]['options']>;
export type QuestionDatasetConfig = z.input<(typeof questionDatasets)[QuestionDatasetName]['options']>;

const [firstOptions, ...moreOptions] = Object.values(datasets).map(({ options }) => options);
export const datasetConfig = z.discriminatedUnion('type', [firstOptions!, ...moreOptions]);
const [firstQuestions, ...moreQuestions] = Object.values(questionDatasets).map(({ options }) => options);
export const questionDatasetConfig = z.discriminatedUnion('type', [firstQuestions!, ...moreQuestions]);

export interface OpenOptions {
  /** Leave out records that cannot be used, and count them, instead of throwing. Default: false. */
  readonly skipBad?: boolean;
  /** Called with each error that `skipBad` passes over. */
  readonly onSkip?: (error: DataError) => void;
}

export interface Dataset<Item extends ImageRecord = ImageTextRecord> extends Records<Item> {
  /** How many records were left out. */
  readonly skipped: number;
}

interface Config {
  readonly type: string;
  readonly [option: string]: unknown;
}

/**
 * Opens a dataset with captions, as a recipe's `data` section names it. Throws UsageError for wrong options, and
 * DataError for records that cannot be used (see OpenOptions) or if none is left.
 */
export const openDataset = (config: Config, options?: OpenOptions): Promise<Dataset> =>
  openOneOf(datasets, config, options);

/** Opens a dataset with questions. Throws as `openDataset` does. */
export const openQuestions = (config: Config, options?: OpenOptions): Promise<Dataset<QuestionRecord>> =>
  openOneOf(questionDatasets, config, options);

async function openOneOf<Item extends ImageRecord>(
  types: Readonly<Record<string, DatasetType<Item>>>,
  config: Config,
  options: OpenOptions = {},
): Promise<Dataset<Item>> {
  const { type } = config;
  const known = Object.hasOwn(types, type) ? types[type] : undefined;
  if (known === undefined) {
    const guess = nearest(type, Object.keys(types));
    throw new UsageError(
      `data.type: expected one of ${Object.keys(types).join(', ')}, found ${type}${guess ? `; ${guess}?` : ''}`,
    );
  }
  let skipped = 0;
  const skip = (error: DataError) => {
    skipped += 1;
    options.onSkip?.(error);
  };
  const records = await known.open(config, options.skipBad ? skip : undefined);
  if (records.length === 0) throw new DataError(`the dataset (${type}) has no usable record; ${skipped} were skipped`);
  return { ...records, skipped };
}

/** Datasets one after the other. */
export function concatenate<Item extends ImageRecord>(parts: readonly Dataset<Item>[]): Dataset<Item> {
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
