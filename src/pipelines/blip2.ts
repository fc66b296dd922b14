import { copyOf, type Value } from '../core/index.ts';
import type { ResolveOptions } from '../hub/index.ts';
import type { SessionOptions } from '../runtime/index.ts';
import { type AnswerOptions, answers, type QuestionOptions, streamAnswer } from './answer.ts';
import { type AttentionOptions, attention } from './attention.ts';
import { findModel } from './bundled.ts';
import { type CaptionOptions, type CaptionStreamOptions, caption, streamCaption } from './caption.ts';
import { Chat } from './chat.ts';
import { checkWeights } from './check-weights.ts';
import { type Embeddings, type EmbedInputs, embed } from './embed.ts';
import { type FeatureSpace, featureSpace, type Images, imageFeatures, type OneImage, readPixels } from './images.ts';
import { storedParameters } from './layer-formats.ts';
import { captionLogProbabilities, type LikelihoodOptions } from './likelihood.ts';
import { type Match, type MatchOptions, match, matchPairs, type Pair, type PairScore } from './match.ts';
import { type ModelFiles, openModel } from './model-files.ts';
import { folderAt } from './quantised-cache.ts';
import type { PrecisionChoice, QuantiseProgress } from './quantised-folder.ts';
import { Sessions } from './sessions.ts';
import { type TraceInputs, trace } from './trace.ts';
import type { ViewOptions } from './views.ts';
import type { SequenceOptions, Written } from './write.ts';

export interface LoadOptions extends Pick<SessionOptions, 'device' | 'threads'>, Omit<ResolveOptions, 'settings'> {
  /**
   * What linear layers are computed in; by default as the folder keeps them, which for most is `fp32`. A model is
   * quantised when it is first asked for, into a folder beside the hub's cache.
   */
  readonly precision?: PrecisionChoice | undefined;
  /** Is told how far that is. */
  readonly onQuantise?: ((progress: QuantiseProgress) => void) | undefined;
}

/** What a model can be used for. */
export type Use = 'caption' | 'answer' | 'match' | 'embed';

/** A BLIP-2 model, ready to use. Its graphs are compiled when they are first needed. */
export class Blip2 {
  readonly files: ModelFiles;
  readonly #sessions: Sessions;

  private constructor(files: ModelFiles, options: SessionOptions) {
    this.files = files;
    this.#sessions = new Sessions(files, options);
  }

  /**
   * Loads a model that comes with the package (`pocket`), a folder that training wrote or transformers loads, or what
   * the hub has under `owner/name[@revision]`. Throws UsageError for a name that is none of these, ConfigError and
   * CheckpointError naming the file and the field or tensor that is wrong, NetworkError, and the signal's reason.
   */
  static async fromPretrained(model: string, options: LoadOptions = {}): Promise<Blip2> {
    const { device, threads, precision, onQuantise, ...fetching } = options;
    const { signal, onWait } = fetching;
    const folder = await findModel(model, fetching);
    signal?.throwIfAborted();
    const quantising = { onProgress: onQuantise, onWait, signal };
    const files = await openModel(await folderAt(folder, { precision, device, ...quantising }));
    checkWeights(files.checkpoint, storedParameters(files));
    // A model is several sessions on the same cores: threads that spin for one would slow the others.
    return new Blip2(files, { ...(device && { device }), ...(threads && { threads }), spinning: false });
  }

  /** What this model has been trained for. */
  get uses(): readonly Use[] {
    const { heads, language } = this.files;
    return [
      ...(heads.writing || language ? (['caption'] as const) : []),
      ...(language ? (['answer'] as const) : []),
      ...(heads.retrieval ? (['match'] as const) : []),
      'embed',
    ];
  }

  /** Images as this model sees them: `pixelValues` [B, 3, H, W]. Throws DataError naming an image that cannot be used. */
  preprocess(images: Images): Promise<Value<'float32'>> {
    return readPixels(images, this.files.processor);
  }

  /**
   * What the Q-Former reads of images, `imageEmbeds` [B, P, Dv]: other methods take it in place of the images. With `views`
   * [B · views, P, Dv], all of the first image before those of the next, which `caption` takes with as many.
   */
  async encodeImages(
    images: Images,
    options: { readonly signal?: AbortSignal } & ViewOptions = {},
  ): Promise<Value<'float32'>> {
    return copyOf(await imageFeatures(this.#sessions, images, options));
  }

  /** The shape of what `encodeImages` gives of one image, and a name for its numbers. */
  featureSpace(): Promise<FeatureSpace> {
    return featureSpace(this.files);
  }

  /**
   * Captions of images, written together: give as many as fit in memory. One of each, or `numReturnSequences`: all of
   * the first image, best first, then those of the next.
   */
  caption(images: Images, options?: CaptionOptions): Promise<Written[]> {
    return caption(this.#sessions, images, options);
  }

  /** The caption of an image in pieces, each as soon as it is certain. */
  streamCaption(image: OneImage, options?: CaptionStreamOptions): AsyncGenerator<string, void, void> {
    return streamCaption(this.#sessions, image, options);
  }

  /** The log-probability of each token of a given caption of each image, the end included. */
  captionLogProbabilities(
    images: Images,
    captions: readonly string[],
    options?: LikelihoodOptions,
  ): Promise<number[][]> {
    return captionLogProbabilities(this.#sessions, images, captions, options);
  }

  /** The answer to a question about an image; the model must be one of stage 2. */
  async answer(image: OneImage, question: string, options?: AnswerOptions): Promise<Written> {
    const [best] = await answers(this.#sessions, image, question, options);
    return best!;
  }

  /** The best `numReturnSequences` answers, or so many of the candidates, best first. */
  answers(image: OneImage, question: string, options?: AnswerOptions & SequenceOptions): Promise<Written[]> {
    return answers(this.#sessions, image, question, options);
  }

  /** The answer in pieces, each as soon as it is certain. */
  streamAnswer(image: OneImage, question: string, options?: QuestionOptions): AsyncGenerator<string, void, void> {
    return streamAnswer(this.#sessions, image, question, options);
  }

  /** A conversation about an image, which is looked at once; the model must be one of stage 2. */
  chat(image: OneImage): Chat {
    return new Chat(this.#sessions, image);
  }

  /** How well each text fits an image. */
  match(image: OneImage, texts: readonly string[], options?: MatchOptions): Promise<Match[]> {
    return match(this.#sessions, image, texts, options);
  }

  /** ITM of each pair of an image and a text. An image's keys and values are computed once. */
  matchPairs(
    images: Images,
    options: { texts: readonly string[]; pairs: readonly Pair[] } & MatchOptions,
  ): Promise<PairScore[]> {
    return matchPairs(this.#sessions, images, options);
  }

  /** Features of images, of texts, and of pairs of both. */
  embed(inputs: EmbedInputs): Promise<Embeddings> {
    return embed(this.#sessions, inputs);
  }

  /**
   * Where each query looks: its cross-attention to the image's tokens, the class token and its like, then the patches row by row,
   * as probabilities [layers with cross-attention, H, Q, P]. The queries of an InstructBLIP read the prompt too.
   */
  attention(image: OneImage, options?: AttentionOptions): Promise<Value<'float32'>> {
    return attention(this.#sessions, image, options);
  }

  /** The named intermediate tensors of one run, to be held against another implementation's. */
  trace(inputs: TraceInputs): Promise<Record<string, Value>> {
    return trace(this.#sessions, inputs);
  }

  /** Frees the compiled graphs; the model can be used again, and then compiles them anew. */
  release(): Promise<void> {
    return this.#sessions.release();
  }
}
