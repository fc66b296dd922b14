export type { AnswerOptions, QuestionOptions } from './answer.ts';
export type { AttentionOptions } from './attention.ts';
export { averageModels } from './average.ts';
export { Blip2, type LoadOptions, type Use } from './blip2.ts';
export {
  type BootstrapCaptionsOptions,
  bootstrapCaptions,
  type CaptionedImages,
  type ScoredCaption,
} from './bootstrap.ts';
export { bundledModels, findModel } from './bundled.ts';
export type { CaptionOptions, CaptionStreamOptions } from './caption.ts';
export type { Chat, Turn } from './chat.ts';
export type { Embeddings, EmbedInputs } from './embed.ts';
export { type ExportOptions, exportModel } from './export.ts';
export { exportOnnx } from './export-onnx.ts';
export type { FeatureSpace, ImageInput, Images, OneImage } from './images.ts';
export { type LayerGroup, layerGroups, parameterCount } from './layer-formats.ts';
export type { LikelihoodOptions } from './likelihood.ts';
export {
  bestQueryCosines,
  firstTokens,
  type Match,
  type MatchOptions,
  type Pair,
  type PairScore,
  rerankScore,
} from './match.ts';
export type { ModelFiles } from './model-files.ts';
export { folderAt, removeQuantised } from './quantised-cache.ts';
export {
  type PrecisionChoice,
  precisionChoices,
  type QuantiseProgress,
  writeQuantised,
} from './quantised-folder.ts';
export type { TraceInputs } from './trace.ts';
export { firstViews, mostViews, type ViewOptions } from './views.ts';
export type { SequenceOptions, WritingOptions, Written } from './write.ts';
