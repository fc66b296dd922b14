export * from './contracts.ts';
export { type ImageEncoder, imageEncoder, imageEncoders } from './image-encoders.ts';
export * from './qformer/index.ts';
export { poolPatches } from './vit/index.ts';
