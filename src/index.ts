/** BLIP-2 in TypeScript: load a model, then caption, match, ask and embed. */
export {
  Blip2Error,
  CheckpointError,
  ConfigError,
  DataError,
  NetworkError,
  RuntimeError,
  UsageError,
  type Value,
} from './core/index.ts';
export type { ProgressEvent } from './hub/index.ts';
export type { RawImage } from './image/index.ts';
export { type Added, type AddOptions, type Found, ImageIndex, type Query, type SearchOptions } from './index/index.ts';
export {
  type AnswerOptions,
  Blip2,
  type CaptionOptions,
  type CaptionStreamOptions,
  type Chat,
  type Embeddings,
  type EmbedInputs,
  type ImageInput,
  type Images,
  type LoadOptions,
  type Match,
  type MatchOptions,
  type OneImage,
  type QuestionOptions,
  type SequenceOptions,
  type TraceInputs,
  type Turn,
  type Use,
  type WritingOptions,
  type Written,
} from './pipelines/index.ts';
