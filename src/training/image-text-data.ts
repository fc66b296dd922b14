import { DataError, floats, type Value } from '../core/index.ts';
import {
  concatenate,
  drawCaption,
  type FeatureCache,
  type ImageTextRecord,
  openDataset,
  type Records,
} from '../data/index.ts';
import { blipCaption } from '../text/index.ts';
import { BatchPlan } from './batch-plan.ts';
import { encodeDataset, type FrozenEncoder, openFeatureCache } from './image-features.ts';
import type { Recipe } from './recipe.ts';
import type { TrainOptions } from './task.ts';

/** One step's images and captions. */
export interface ImageTextBatch {
  readonly records: readonly ImageTextRecord[];
  /** Normalised as the reference does it: lower case, no punctuation. */
  readonly captions: readonly string[];
  /** [B, P, Dv] */
  readonly imageEmbeds: Value<'float32'>;
  /** What errors call it. */
  readonly name: string;
}

/** A record, and where its features are. */
interface Encoded {
  readonly record: ImageTextRecord;
  readonly key: string;
}

/** The training pairs of a recipe with the features of a frozen encoder: a batch for every step, by the step alone. */
export class ImageTextData {
  /** All records, in one list. */
  readonly records: Records;
  readonly patches: number;
  readonly width: number;
  readonly stepsPerEpoch: number;
  readonly #sets: readonly (readonly Encoded[])[];
  readonly #cache: FeatureCache;
  readonly #plan: BatchPlan;
  readonly #seed: number;

  private constructor(
    records: Records,
    { sets, cache, run }: { sets: readonly Encoded[][]; cache: FeatureCache; run: Recipe['run'] },
  ) {
    this.records = records;
    this.patches = cache.patches;
    this.width = cache.width;
    this.#sets = sets;
    this.#cache = cache;
    this.#seed = run.seed;
    this.#plan = new BatchPlan(
      sets.map((set) => set.length),
      { batchSize: run.batch_size_train, seed: run.seed },
    );
    this.stepsPerEpoch = this.#plan.stepsPerEpoch;
  }

  /** Opens the datasets and encodes what was never encoded. Throws DataError naming what cannot be used. */
  static async open(
    { data, run }: Pick<Recipe, 'data' | 'run'>,
    frozen: FrozenEncoder,
    options: TrainOptions,
  ): Promise<ImageTextData> {
    const skipBad = options.skipBad ?? false;
    const report = (error: DataError) => options.onMessage?.(`left out: ${error.message}`);
    const opened = await Promise.all(data.train.map((d) => openDataset(d, { skipBad, onSkip: report })));
    const cache = await openFeatureCache(data.feature_cache, frozen);
    const all = concatenate(opened);
    const keys = await encodeDataset(all, cache, {
      frozen,
      onProgress: (done, total) => options.onMessage?.(`encoding images: ${done} of ${total}`),
      onSkip: skipBad ? report : undefined,
      signal: options.signal,
    });
    let start = 0;
    const sets = opened.map((set) => {
      const kept = Array.from({ length: set.length }, (_, i) => ({ record: set.record(i), key: keys[start + i] }));
      start += set.length;
      return kept.filter((item): item is Encoded => item.key !== undefined);
    });
    const usable = sets.reduce((n, set) => n + set.length, 0);
    if (sets.every((set) => set.length < run.batch_size_train)) {
      throw new DataError(
        `data.train has ${usable} usable pictures, fewer than run.batch_size_train = ${run.batch_size_train}`,
      );
    }
    return new ImageTextData(all, { sets, cache, run });
  }

  at(step: number): ImageTextBatch {
    const { dataset, indices, epoch } = this.#plan.at(step);
    const items = indices.map((index) => ({ index, ...this.#sets[dataset]![index]! }));
    const size = this.patches * this.width;
    const features = new Float32Array(items.length * size);
    items.forEach(({ key }, i) => {
      this.#cache.read(key, features, i * size);
    });
    return {
      records: items.map(({ record }) => record),
      captions: items.map(({ record, index }) => blipCaption(drawCaption(record, { seed: this.#seed, epoch, index }))),
      imageEmbeds: floats([items.length, this.patches, this.width], features),
      name: items.map(({ record }) => record.id).join(', '),
    };
  }

  close(): void {
    this.#cache.close();
  }
}
