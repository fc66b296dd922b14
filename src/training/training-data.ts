import { DataError, UsageError, type Value } from '../core/index.ts';
import { concatenate, type Dataset, type ImageRecord, type OpenOptions, type Records } from '../data/index.ts';
import type { Feeds } from '../runtime/index.ts';
import { BatchPlan } from './batch-plan.ts';
import { encodeDataset, openFeatureCache } from './image-features.ts';
import { PatchDropout } from './patch-dropout.ts';
import type { ReadEncoder } from './pretrained.ts';
import type { DatasetChoice } from './recipe.ts';
import {
  cachedImages,
  checkEncoderKeys,
  type Drawn,
  encodedImages,
  type StepImages,
  type StepSettings,
  trainedImages,
  withPatchDropout,
} from './step-images.ts';
import { sessionOptions } from './steps-by-length.ts';
import type { TrainOptions } from './task.ts';

/** Where the records of a recipe come from, and what reads their pictures. */
export interface DataSource<Item extends ImageRecord> {
  readonly images: ReadEncoder;
  readonly dataset: (d: DatasetChoice, o: OpenOptions) => Promise<Dataset<Item>>;
  /** What a step makes of its batch, by the step alone; held-out data stay as they are. */
  readonly mix?: Mix<Item> | undefined;
}

/** A batch with what a step makes of it. */
export type Mix<Item extends ImageRecord> = (
  batch: Batch<Item>,
  step: number,
  training: Pictures<Item>,
) => Batch<Item> | Promise<Batch<Item>>;

/** All that a recipe learns from, with the features of each picture. */
export type Pictures<Item extends ImageRecord> = Pick<TrainingData<Item>, 'all' | 'features'>;

/** One step's records and what its graph is fed of their pictures. */
export interface Batch<Item extends ImageRecord> {
  readonly items: readonly Drawn<Item>[];
  readonly imageFeeds: Feeds;
  /** What errors call it. */
  readonly name: string;
}

/** How many steps' pictures are read ahead of their use. */
const ahead = 2;

/**
 * The records of a recipe with their pictures: a batch for every step, by the step alone. Pictures of the next steps are
 * read while a step computes.
 */
export class TrainingData<Item extends ImageRecord> {
  readonly images: StepImages;
  /** All records, in one list. */
  readonly records: Records<Item>;
  readonly stepsPerEpoch: number;
  readonly #sets: readonly Records<Item>[];
  readonly #plan: BatchPlan;
  readonly #maxSteps: number;
  readonly #onBad: ((error: DataError) => void) | undefined;
  readonly #mix: DataSource<Item>['mix'];
  readonly #batches = new Map<number, Promise<Batch<Item>>>();

  private constructor(
    sets: readonly Records<Item>[],
    { run }: StepSettings,
    open: Pick<TrainingData<Item>, 'images' | 'records'> &
      Pick<DataSource<Item>, 'mix'> & { onBad: ((error: DataError) => void) | undefined; name: string },
  ) {
    this.images = open.images;
    this.records = open.records;
    this.#onBad = open.onBad && onceEach(open.onBad);
    this.#mix = open.mix;
    this.#sets = sets;
    this.#maxSteps = run.max_steps;
    if (sets.every(({ length }) => length < run.batch_size_train)) {
      const usable = sets.reduce((n, { length }) => n + length, 0);
      throw new DataError(
        `${open.name} has ${usable} usable pictures, fewer than run.batch_size_train = ${run.batch_size_train}`,
      );
    }
    this.#plan = new BatchPlan(sets, { batchSize: run.batch_size_train, seed: run.seed });
    this.stepsPerEpoch = this.#plan.stepsPerEpoch;
  }

  /**
   * Opens the datasets, which errors call by `name`; where neither pictures nor encoder change, encodes what was never
   * encoded. Throws DataError naming what cannot be used, UsageError where the recipe's keys do not fit each other.
   */
  static async open<Item extends ImageRecord>(
    settings: StepSettings,
    source: DataSource<Item>,
    options: TrainOptions & { readonly name?: string },
  ): Promise<TrainingData<Item>> {
    const { model, data, run } = settings;
    const { name = 'data.train' } = options;
    checkEncoderKeys(model, run);
    const skipBad = options.skipBad ?? false;
    const report = (error: DataError) => options.onMessage?.(`left out: ${error.message}`);
    const onBad = skipBad ? report : undefined;
    const sets = await Promise.all(data.train.map((d) => source.dataset(d, { skipBad, onSkip: report })));
    for (const [i, { length }] of sets.entries()) {
      if (length >= run.batch_size_train) continue;
      options.onMessage?.(`${name}[${i}] has ${length} pictures, fewer than a batch: no batch is drawn from it`);
    }
    const open = { records: concatenate(sets), mix: source.mix, onBad, name };
    const { patch_dropout: rate } = data;
    const dropped = (images: StepImages) =>
      rate === 0
        ? images
        : withPatchDropout(images, PatchDropout.of(source.images, { rate, seed: run.seed, before: 'Q-Former' }));
    if (model.freeze_vit && !data.augment) {
      const cached = await cacheSets(sets, source.images, { folder: data.feature_cache, run, onBad, options });
      return new TrainingData(cached.sets, settings, { ...open, images: dropped(cached.images) });
    }
    const images = model.freeze_vit
      ? dropped(await encodedImages(source.images, settings))
      : trainedImages(source.images, settings);
    return new TrainingData(sets, settings, { ...open, images });
  }

  /** The batch of a step, with a look at those before `end`. Throws DataError naming a picture that cannot be used. */
  at(step: number, end = this.#maxSteps): Promise<Batch<Item>> {
    for (const known of this.#batches.keys()) if (known < step) this.#batches.delete(known);
    const last = Math.min(step + ahead, end - 1);
    for (let next = step; next <= last; next++) {
      if (this.#batches.has(next)) continue;
      const batch = this.#read(next);
      batch.catch(() => {}); // reported when its turn comes
      this.#batches.set(next, batch);
    }
    return this.#batches.get(step)!;
  }

  /** Every record that is drawn from. */
  all(): Drawn<Item>[] {
    return this.#sets.flatMap((set, dataset) =>
      Array.from({ length: set.length }, (_, index) => drawnFrom(set, { dataset, epoch: 0, index })),
    );
  }

  /** What a step's graph would be fed of these records' pictures. Throws DataError where one cannot be used. */
  async features(drawn: readonly Drawn<Item>[]): Promise<Value> {
    const { imageEmbeds } = await this.images.feeds(await Promise.all(drawn.map((d) => this.images.load(d))), 0);
    if (imageEmbeds) return imageEmbeds;
    throw new UsageError('there are no features of pictures, because model.freeze_vit is false');
  }

  close(): Promise<void> {
    return this.images.close();
  }

  async #read(step: number): Promise<Batch<Item>> {
    const { dataset, epoch, indices } = this.#plan.at(step);
    const read = await Promise.all(indices.map((index) => this.#load({ dataset, epoch, index })));
    const items = read.map(({ drawn }) => drawn);
    const pictures = read.map(({ loaded }) => loaded);
    const name = items.map(({ record }) => record.id).join(', ');
    const batch = { items, name, imageFeeds: await this.images.feeds(pictures, step) };
    return this.#mix?.(batch, step, this) ?? batch;
  }

  /** A record with its picture, or the next one whose picture can be used, so that batches keep their size. */
  async #load(at: Omit<Drawn, 'record' | 'unit'>): Promise<{ drawn: Drawn<Item>; loaded: unknown }> {
    const set = this.#sets[at.dataset]!;
    for (let tried = 0; ; tried++) {
      const index = (at.index + tried) % set.length;
      const drawn = drawnFrom(set, { ...at, index });
      try {
        return { drawn, loaded: await this.images.load(drawn) };
      } catch (cause) {
        if (!(cause instanceof DataError)) throw cause;
        const error = new DataError(`record ${drawn.record.id}: ${cause.message}`, { cause });
        if (!this.#onBad || tried + 1 === set.length) throw error;
        this.#onBad(error);
      }
    }
  }
}

/** A record of one of the recipe's datasets. */
const drawnFrom = <Item extends ImageRecord>(set: Records<Item>, at: Omit<Drawn, 'record' | 'unit'>): Drawn<Item> => ({
  ...at,
  unit: Math.floor(at.index / (set.together ?? 1)),
  record: set.record(at.index),
});

/** The datasets without what cannot be encoded, and the features of the rest. */
async function cacheSets<Item extends ImageRecord>(
  sets: readonly Dataset<Item>[],
  images: ReadEncoder,
  {
    folder,
    run,
    onBad,
    options,
  }: {
    folder: string;
    run: StepSettings['run'];
    onBad: ((e: DataError) => void) | undefined;
    options: TrainOptions;
  },
): Promise<{ sets: Records<Item>[]; images: StepImages }> {
  const cache = await openFeatureCache(folder, images);
  const keys = await encodeDataset(concatenate(sets), cache, {
    images,
    session: sessionOptions(run),
    onProgress: options.onEncoded,
    onSkip: onBad,
    onWait: options.onMessage,
    signal: options.signal,
  });
  let start = 0;
  const kept = sets.map((set) => {
    const own = keys.slice(start, start + set.length);
    start += set.length;
    const places = [...own.keys()].filter((i) => own[i] !== undefined);
    return { places, keys: places.map((i) => own[i]!), set };
  });
  return {
    sets: kept.map(({ places, set }) =>
      places.length === set.length ? set : { length: places.length, record: (i) => set.record(places[i]!) },
    ),
    images: cachedImages(cache, images, ({ dataset, index }) => kept[dataset]!.keys[index]!),
  };
}

/** Tells each error once, whatever number of epochs meets it. */
function onceEach(onBad: (error: DataError) => void): (error: DataError) => void {
  const told = new Set<string>();
  return (error) => {
    if (!told.has(error.message)) onBad(error);
    told.add(error.message);
  };
}
