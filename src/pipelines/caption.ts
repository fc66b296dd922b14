import { UsageError } from '../core/index.ts';
import { embed } from './embed.ts';
import { featuresToWriteAbout, type Images, imagesOf, type OneImage } from './images.ts';
import { itcOfTexts, itcTemperature } from './rank.ts';
import type { Sessions } from './sessions.ts';
import { firstViews, type ViewOptions } from './views.ts';
import {
  type SequenceOptions,
  streamByLanguageModel,
  type WritingOptions,
  type Written,
  writeByLanguageModel,
  writeByQueries,
} from './write.ts';

export interface CaptionOptions extends WritingOptions, SequenceOptions, ViewOptions {
  /**
   * The words that captions begin with, of all images or of each; they are not part of what is returned. Default: those
   * that the model was trained to go on from, if any.
   */
  readonly prompt?: string | readonly string[] | undefined;
  /**
   * So many captions of each image are written, as the best beams or as draws, and read by ITC: returned are those that are
   * likely to be written and to be found, by the product of both probabilities (Σ log p + cosine / temperature). Default:
   * as many as are returned, in the order of their likelihood.
   */
  readonly bestOf?: number | undefined;
}

/**
 * Captions: by the language model where stage 2 has connected one, else by the Q-Former itself, as stage 1 has taught it
 * (ITG). In transformers' order, all `numReturnSequences` of an image before those of the next. Throws UsageError where
 * there are prompts for more or fewer images, `bestOf` is below the number of captions, or there are not so many views;
 * ConfigError where `bestOf` is given to a model without ITC. Of `views` above 1, imageEmbeds are those of all views, as
 * `encodeImages` gives them.
 */
export async function caption(
  sessions: Sessions,
  images: Images,
  { prompt = captionPrompt(sessions), bestOf, views = 1, ...options }: CaptionOptions = {},
): Promise<Written[]> {
  const { numReturnSequences = 1, numBeams = 1, doSample, signal } = options;
  if (bestOf !== undefined) await checkBestOf(sessions, bestOf, numReturnSequences);
  const features = await featuresToWriteAbout(sessions, images, {
    numBeams,
    numReturnSequences: bestOf ?? numReturnSequences,
    views,
  });
  signal?.throwIfAborted();
  const prompts = promptsFor(features.shape[0]! / views, prompt);
  const write = sessions.files.language ? writeByLanguageModel : writeByQueries;
  if (bestOf === undefined) return write(sessions, features, { ...options, prompts, views });
  const written = await write(sessions, features, {
    ...options,
    prompts,
    views,
    numReturnSequences: bestOf,
    numBeams: doSample ? numBeams : Math.max(numBeams, bestOf),
  });
  const ofEach = prompts.map((_, image) => written.slice(image * bestOf, (image + 1) * bestOf));
  const texts = ofEach.map((some, image) => some.map(({ text }) => `${prompts[image]} ${text}`));
  const seen = firstViews(features, views);
  const cosines = await itcOfTexts({ embed: (inputs) => embed(sessions, inputs) }, seen, { texts, signal });
  const temperature = await itcTemperature(sessions.files);
  return ofEach.flatMap((some, image) => {
    const scores = some.map(({ logProbability }, i) => logProbability + cosines[image]![i]! / temperature);
    const order = [...some.keys()].sort((a, b) => scores[b]! - scores[a]!);
    return order.slice(0, numReturnSequences).map((i) => some[i]!);
  });
}

async function checkBestOf(sessions: Sessions, bestOf: number, returned: number): Promise<void> {
  await sessions.texts(); // refuses a model without ITC before the images are read
  if (Number.isInteger(bestOf) && bestOf >= returned) return;
  throw new UsageError(`bestOf: expected a whole number of at least numReturnSequences, ${returned}, found ${bestOf}`);
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
  const features = await featuresToWriteAbout(sessions, imagesOf(image), options);
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
