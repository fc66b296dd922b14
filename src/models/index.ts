export * from './contracts.ts';
export { causalMask, countedPositions, lastOf } from './decoder/index.ts';
export { type ImageEncoder, imageEncoder, imageEncoders } from './image-encoders.ts';
export {
  type Decoder,
  type EncoderDecoder,
  type LanguageModel,
  languageModel,
  languageModels,
} from './language-models.ts';
export * from './qformer/index.ts';
export { featureShape, interpolatePositions, poolPatches } from './vit/index.ts';
