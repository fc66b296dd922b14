import { UsageError } from '../core/index.ts';
import { type Images, imageFeatures } from './images.ts';
import type { Sessions } from './sessions.ts';
import { type WritingOptions, type Written, writeByLanguageModel, writeByQueries } from './write.ts';

export interface CaptionOptions extends WritingOptions {
  /**
   * The words that captions begin with, of all images or of each; they are not part of what is returned. Default: those
   * that the model was trained to go on from, if any.
   */
  readonly prompt?: string | readonly string[] | undefined;
}

/**
 * One caption for each image: by the language model where stage 2 has connected one, else by the Q-Former itself, as
 * stage 1 has taught it (ITG). Throws UsageError where there are prompts for more or fewer images.
 */
export async function caption(
  sessions: Sessions,
  images: Images,
  { prompt = sessions.files.config.caption_prompt ?? '', ...options }: CaptionOptions = {},
): Promise<Written[]> {
  const features = await imageFeatures(sessions, images);
  options.signal?.throwIfAborted();
  const prompts = promptsFor(features.shape[0]!, prompt);
  const write = sessions.files.language ? writeByLanguageModel : writeByQueries;
  return write(sessions, features, { ...options, prompts });
}

function promptsFor(images: number, prompt: string | readonly string[]): readonly string[] {
  if (typeof prompt === 'string') return new Array<string>(images).fill(prompt);
  if (prompt.length === images) return prompt;
  throw new UsageError(`prompt: expected one for each of ${images} images, found ${prompt.length}`);
}
