export { type CompiledLanguageModel, compileLanguageModel } from './compile.ts';
export { DecoderModel, type LanguageModelWeights } from './decoder.ts';
export { generate } from './generate.ts';
export { cacheOutputs } from './graph.ts';
export type { GenerationOptions } from './options.ts';
export type { Prompt } from './prompt.ts';
export { streamTokens, type WrittenToken } from './sample.ts';
export type { Decoding, StepModel } from './step.ts';
export { cutAtStop, type FinishReason, type Generated, type StoppingCriterion, stopStrings } from './stopping.ts';
