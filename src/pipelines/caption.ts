import { type Images, imageFeatures } from './images.ts';
import type { Sessions } from './sessions.ts';
import { type WritingOptions, type Written, writeByLanguageModel, writeByQueries } from './write.ts';

export interface CaptionOptions extends WritingOptions {
  /** The words that captions begin with; they are not part of what is returned. */
  readonly prompt?: string | undefined;
}

/**
 * One caption for each image: by the language model where stage 2 has connected one, else by the Q-Former itself, as
 * stage 1 has taught it (ITG).
 */
export async function caption(
  sessions: Sessions,
  images: Images,
  { prompt = '', ...options }: CaptionOptions = {},
): Promise<Written[]> {
  const features = await imageFeatures(sessions, images);
  options.signal?.throwIfAborted();
  if (!sessions.files.language) return writeByQueries(sessions, features, { ...options, prompt });
  const prompts = new Array<string>(features.shape[0]!).fill(prompt);
  return writeByLanguageModel(sessions, features, { ...options, prompts });
}
