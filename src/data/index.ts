export { type CutoutRow, readCutouts } from './cutout.ts';
export * from './datasets/index.ts';
export { type CacheOptions, cacheFeatures, FeatureCache } from './feature-cache.ts';
export { type ImageSource, loadImage, nameOf } from './image-source.ts';
export {
  type Batch,
  type BatchOptions,
  drawCaption,
  epochBatches,
  Loader,
  type LoaderOptions,
  type Position,
} from './loader.ts';
export * from './scenes/index.ts';
