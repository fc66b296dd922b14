export { readAnswerList } from './answer-list.ts';
export { type CutoutRow, readCutouts } from './cutout.ts';
export * from './datasets/index.ts';
export { DecodePool } from './decode-pool.ts';
export { drawCaption } from './draw-caption.ts';
export { type CacheOptions, cacheFeatures, FeatureCache } from './feature-cache.ts';
export { type ImageSource, loadImage, nameOf } from './image-source.ts';
export {
  type Batch,
  type BatchOptions,
  epochBatches,
  Loader,
  type LoaderOptions,
  type Position,
} from './loader.ts';
export * from './scenes/index.ts';
