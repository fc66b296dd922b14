import { join } from 'node:path';
import { DataError, floats, toFloat32, type Value, viewRows } from '../../core/index.ts';
import { cacheFeatures, FeatureCache, type ImageRecord, type OpenOptions } from '../../data/index.ts';
import {
  type Blip2,
  bestQueryCosines,
  type CaptionOptions,
  firstTokens,
  firstViews,
  type Pair,
  type PairScore,
  type WritingOptions,
} from '../../pipelines/index.ts';
import { blipCaption } from '../../text/index.ts';

/** How far a part of an evaluation is. */
export interface Progress {
  readonly part: string;
  readonly done: number;
  readonly total: number;
}

export interface SubjectOptions {
  readonly featureCache: string;
  readonly batchSize: number;
  /** Captions are written of so many views of each picture. Default: 1. */
  readonly views?: number | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly skipBad?: boolean | undefined;
  readonly onMessage?: ((text: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Pictures by the names of their features in the cache. */
export type Pictures = readonly string[];

/** The model under test, and what benchmarks ask of it: in batches, and of features that are kept between runs. */
export class Subject {
  readonly #model: Blip2;
  readonly #cache: FeatureCache;
  readonly #options: SubjectOptions;
  readonly #views: number;

  private constructor(model: Blip2, cache: FeatureCache, options: SubjectOptions) {
    this.#model = model;
    this.#cache = cache;
    this.#options = options;
    this.#views = options.views ?? 1;
  }

  static async open(model: Blip2, options: SubjectOptions): Promise<Subject> {
    const { patches, width, fingerprint } = await model.featureSpace();
    const { featureCache, views = 1 } = options;
    const folder = join(featureCache, views === 1 ? fingerprint : `${fingerprint}-${views}-views`);
    return new Subject(model, new FeatureCache(folder, { patches: views * patches, width }), options);
  }

  /** Whether it compares images with texts. */
  get matches(): boolean {
    return this.#model.uses.includes('match');
  }

  /** How many of ITM's logits a cosine of ITC is worth, if it says so. */
  get itcWeight(): number | undefined {
    return this.#model.files.config.rerank_itc_weight;
  }

  /** Takes what cannot be used, where that is to be left out. */
  get onBad(): ((error: DataError) => void) | undefined {
    const { skipBad, onMessage } = this.#options;
    return skipBad ? (error) => onMessage?.(`left out: ${error.message}`) : undefined;
  }

  /** How datasets are to be opened. */
  get reading(): OpenOptions {
    const { onBad } = this;
    return onBad ? { skipBad: true, onSkip: onBad } : {};
  }

  /**
   * Encodes pictures that no run has encoded before. Returns the records whose pictures can be used, and these. Throws
   * DataError naming one that cannot, where it is not to be left out.
   */
  async pictures<Item extends ImageRecord>(
    records: readonly Item[],
    part: string,
  ): Promise<{ records: Item[]; pictures: Pictures }> {
    const { onProgress, onMessage, signal, batchSize } = this.#options;
    const list = { length: records.length, record: (i: number) => records[i]! };
    const keys = await cacheFeatures(list, this.#cache, {
      processor: this.#model.files.processor,
      encode: async (pixelValues) => {
        const { patches, width } = this.#cache;
        const { data } = await this.#model.encodeImages(pixelValues, { views: this.#views });
        return floats([pixelValues.shape[0]!, patches, width], data); // a row for all views of a picture
      },
      batchSize,
      signal,
      onProgress: (done, total) => onProgress?.({ part: `${part}: encoding images`, done, total }),
      onSkip: this.onBad,
      onWait: onMessage,
    });
    const usable = [...keys.keys()].filter((i) => keys[i] !== undefined);
    if (usable.length === 0) throw new DataError(`${part}: expected pictures, and none can be used`);
    return { records: usable.map((i) => records[i]!), pictures: usable.map((i) => keys[i]!) };
  }

  /** The words that it was trained to find around a question, which stands where {} does, if it says so. */
  get questionPrompt(): string | undefined {
    return this.#model.files.config.question_prompt;
  }

  /** Whether it answers questions. */
  get answersQuestions(): boolean {
    return this.#model.uses.includes('answer');
  }

  /** One caption for each picture, by default a greedy one; undefined of a model that does not write. */
  async captions(pictures: Pictures, part: string, writing: CaptionOptions = {}): Promise<string[] | undefined> {
    if (!this.#model.uses.includes('caption')) return undefined;
    const { signal } = this.#options;
    return this.#inBatches(pictures, `${part}: writing captions`, async (batch) => {
      const views = this.#views;
      const written = await this.#model.caption(this.#features(batch, views), { ...writing, views, signal });
      return written.map(({ text }) => text);
    });
  }

  /** The log-probability of each token of given captions, their ends included. */
  logProbabilities(
    given: readonly { picture: string; text: string }[],
    { prompt, part }: { prompt: string | undefined; part: string },
  ): Promise<number[][]> {
    const { signal } = this.#options;
    return this.#inBatches(given, `${part}: reading references`, (batch) => {
      const features = this.#features(batch.map(({ picture }) => picture));
      const texts = batch.map(({ text }) => text);
      return this.#model.captionLogProbabilities(features, texts, { prompt, signal });
    });
  }

  /** One answer for each prompt: written, or the likeliest of the candidates. */
  answers(
    asked: readonly { picture: string; prompt: string }[],
    { candidates, part, ...writing }: WritingOptions & { candidates: readonly string[] | undefined; part: string },
  ): Promise<string[]> {
    const { signal } = this.#options;
    return this.#inBatches(asked, `${part}: answering`, async (batch) => {
      if (candidates) {
        const chosen: string[] = [];
        for (const { picture, prompt } of batch) {
          const features = this.#features([picture]);
          chosen.push((await this.#model.answer(features, prompt, { raw: true, candidates, signal })).text);
        }
        return chosen;
      }
      const features = this.#features(batch.map(({ picture }) => picture));
      const written = await this.#model.caption(features, {
        ...writing,
        prompt: batch.map(({ prompt }) => prompt),
        signal,
      });
      return written.map(({ text }) => text);
    });
  }

  /** ITC: the cosine of every picture's best query with every text, [pictures, texts]. */
  async cosines(pictures: Pictures, texts: readonly string[], part: string): Promise<Value<'float32'>> {
    const zTexts = await this.#inBatches(texts, `${part}: reading texts`, async (batch) => {
      const { text_embeds_proj } = await this.#model.embed({ texts: batch.map((text) => blipCaption(text)) });
      return firstTokens(text_embeds_proj!);
    });
    const rows = await this.#inBatches(pictures, `${part}: comparing (ITC)`, async (batch) => {
      const { image_embeds_proj } = await this.#model.embed({ images: this.#features(batch) });
      return batch.map((_, image) =>
        Float32Array.from(bestQueryCosines(viewRows(image_embeds_proj!, image, 1), zTexts)),
      );
    });
    const all = new Float32Array(pictures.length * texts.length);
    for (const [i, row] of rows.entries()) all.set(row, i * texts.length);
    return floats([pictures.length, texts.length], all);
  }

  /** ITM of every pair. Pairs of one picture should follow each other, for it is then read once. */
  matchPairs(
    pictures: Pictures,
    texts: readonly string[],
    { pairs, part }: { pairs: readonly Pair[]; part: string },
  ): Promise<PairScore[]> {
    return this.#inBatches(pairs, `${part}: matching (ITM)`, (batch) => {
      const images = [...new Set(batch.map(({ image }) => image))];
      const features = this.#features(images.map((image) => pictures[image]!));
      return this.#model.matchPairs(features, {
        texts: batch.map(({ text }) => blipCaption(texts[text]!)),
        pairs: batch.map(({ image }, text) => ({ image: images.indexOf(image), text })),
        signal: this.#options.signal,
      });
    });
  }

  /** The class token of every picture, of length 1; of an encoder without one the mean of the patches. */
  classTokens(pictures: Pictures): Float32Array[] {
    const { prefixTokens } = this.#model.files.encoder;
    return pictures.map((picture) => {
      const features = this.#features([picture]);
      const [, patches, width] = features.shape as [number, number, number];
      const tokens = toFloat32(features);
      const token = tokens.slice(0, width);
      if (prefixTokens === 0) {
        for (let i = width; i < patches * width; i++) token[i % width]! += tokens[i]!;
      }
      const length = Math.hypot(...token);
      return token.map((x) => x / length);
    });
  }

  close(): void {
    this.#cache.close();
  }

  /** imageEmbeds [B · views, P, Dv], by default of the pictures as they are alone. */
  #features(pictures: Pictures, views = 1): Value<'float32'> {
    const { patches, width } = this.#cache;
    const data = new Float32Array(pictures.length * patches * width);
    for (const [i, picture] of pictures.entries()) this.#cache.read(picture, data, i * patches * width);
    const all = floats([pictures.length * this.#views, patches / this.#views, width], data);
    return views === this.#views ? all : firstViews(all, this.#views);
  }

  async #inBatches<T, R>(items: readonly T[], part: string, run: (batch: readonly T[]) => Promise<R[]>): Promise<R[]> {
    const { batchSize, onProgress, signal } = this.#options;
    const results: R[] = [];
    while (results.length < items.length) {
      signal?.throwIfAborted();
      results.push(...(await run(items.slice(results.length, results.length + batchSize))));
      onProgress?.({ part, done: results.length, total: items.length });
    }
    return results;
  }
}
