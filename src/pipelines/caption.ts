import { UsageError } from '../core/index.ts';
import { type Images, imageFeatures, imagesOf, type OneImage } from './images.ts';
import type { Sessions } from './sessions.ts';
import {
  type SequenceOptions,
  streamByLanguageModel,
  type WritingOptions,
  type Written,
  writeByLanguageModel,
  writeByQueries,
} from './write.ts';

export interface CaptionOptions extends WritingOptions, SequenceOptions {
  /**
   * The words that captions begin with, of all images or of each; they are not part of what is returned. Default: those
   * that the model was trained to go on from, if any.
   */
  readonly prompt?: string | readonly string[] | undefined;
}

/**
 * Captions: by the language model where stage 2 has connected one, else by the Q-Former itself, as stage 1 has taught it
 * (ITG). In transformers' order, all `numReturnSequences` of an image before those of the next. Throws UsageError where
 * there are prompts for more or fewer images.
 */
export async function caption(
  sessions: Sessions,
  images: Images,
  { prompt = captionPrompt(sessions), ...options }: CaptionOptions = {},
): Promise<Written[]> {
  const features = await imageFeatures(sessions, images);
  options.signal?.throwIfAborted();
  const prompts = promptsFor(features.shape[0]!, prompt);
  const write = sessions.files.language ? writeByLanguageModel : writeByQueries;
  return write(sessions, features, { ...options, prompts });
}

export interface CaptionStreamOptions extends WritingOptions {
  /** The words that the caption begins with; see {@link CaptionOptions}. */
  readonly prompt?: string | undefined;
}

/** A caption in pieces; what the Q-Former writes, and what a beam search finds, comes at once. */
export async function* streamCaption(
  sessions: Sessions,
  image: OneImage,
  { prompt = captionPrompt(sessions), ...options }: CaptionStreamOptions = {},
): AsyncGenerator<string, void, void> {
  const features = await imageFeatures(sessions, imagesOf(image));
  options.signal?.throwIfAborted();
  if (sessions.files.language) return yield* streamByLanguageModel(sessions, features, { ...options, prompt });
  const [written] = await writeByQueries(sessions, features, { ...options, prompts: [prompt] });
  yield written!.text;
}

/** The words that training taught a model to begin captions with. */
export const captionPrompt = ({ files }: Sessions): string => files.config.caption_prompt ?? '';

function promptsFor(images: number, prompt: string | readonly string[]): readonly string[] {
  if (typeof prompt === 'string') return new Array<string>(images).fill(prompt);
  if (prompt.length === images) return prompt;
  throw new UsageError(`prompt: expected one for each of ${images} images, found ${prompt.length}`);
}
