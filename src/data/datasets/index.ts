export type {
  DatasetType,
  ImageRecord,
  ImageTextRecord,
  QuestionRecord,
  Records,
  WeightedAnswer,
} from './dataset.ts';
export {
  concatenate,
  type Dataset,
  type DatasetConfig,
  type DatasetName,
  datasetConfig,
  type OpenOptions,
  openDataset,
  openQuestions,
  type QuestionDatasetConfig,
  questionDatasetConfig,
} from './datasets.ts';
export { groupByImage } from './group-by-image.ts';
