import type { LanguageModel } from '../models/index.ts';
import { DecoderModel, type LanguageModelWeights } from './decoder.ts';
import { EncoderDecoderModel } from './encoder-decoder.ts';
import type { Prompt } from './prompt.ts';
import type { StepModel } from './step.ts';

export interface CompiledLanguageModel extends StepModel<Prompt> {
  release(): Promise<void>;
}

/** A language model ready to write. Throws CheckpointError where a weight is missing. */
export const compileLanguageModel = (lm: LanguageModel, at: LanguageModelWeights): Promise<CompiledLanguageModel> =>
  lm.kind === 'decoder' ? DecoderModel.compile(lm, at) : EncoderDecoderModel.compile(lm, at);
