export type { DatasetType, ImageTextRecord, Records } from './dataset.ts';
export {
  concatenate,
  type Dataset,
  type DatasetConfig,
  type DatasetName,
  datasetConfig,
  type OpenOptions,
  openDataset,
} from './datasets.ts';
