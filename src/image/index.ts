export * from './augment.ts';
export { type DecodeOptions, decodeImage, imageName } from './decode.ts';
export { webpDataUrl } from './encode.ts';
export * from './fit.ts';
export * from './processor.ts';
export { alphaBox, type Box, blank, type Color, crop, flip, paste, type RawImage } from './raw-image.ts';
export * from './read.ts';
export { type Resample, resize } from './resize.ts';
export { type Warp, warp } from './warp.ts';
