import { DataError, random, type Value } from '../core/index.ts';
import { type ImageProcessor, normalise, type RawImage } from '../image/index.ts';
import type { ImageRecord, Records } from './datasets/index.ts';
import { DecodePool } from './decode-pool.ts';

export interface BatchOptions {
  readonly batchSize: number;
  readonly seed: number;
  /** A new order in every epoch. Default: true. */
  readonly shuffle?: boolean;
  /** Leave out an epoch's last, smaller batch. Default: the same as `shuffle`, because training wants equal batches. */
  readonly dropLast?: boolean;
}

export interface LoaderOptions extends BatchOptions {
  readonly processor: ImageProcessor;
  /** A random resized crop, mirrored half of the time. Default: false. */
  readonly augment?: boolean;
  /** Decoding threads. Default: 1. */
  readonly threads?: number;
  /** How many batches are decoded ahead. Default: 2. */
  readonly prefetch?: number;
  /** Leave out images that cannot be decoded, and count them, instead of throwing. Default: false. */
  readonly skipBad?: boolean;
  readonly onSkip?: (error: DataError) => void;
}

/** A place in the stream of batches: all that is needed to go on exactly from there. */
export interface Position {
  readonly epoch: number;
  readonly batch: number;
}

export interface Batch extends Position {
  readonly records: readonly ImageRecord[];
  /** The records' places in the dataset: ids of several datasets in a row may be the same. */
  readonly indices: readonly number[];
  /** [B, 3, H, W], normalised. */
  readonly pixelValues: Value<'float32'>;
}

/** The records of each of an epoch's batches, by index: a function of its arguments alone. */
export function epochBatches(length: number, epoch: number, options: BatchOptions): number[][] {
  const { batchSize, seed, shuffle = true, dropLast = shuffle } = options;
  const inOrder = Array.from({ length }, (_, i) => i);
  const order = shuffle ? random(seed, 'order', epoch).shuffle(inOrder) : inOrder;
  const count = dropLast ? Math.floor(length / batchSize) : Math.ceil(length / batchSize);
  return Array.from({ length: count }, (_, i) => order.slice(i * batchSize, (i + 1) * batchSize));
}

/**
 * Batches of a dataset, decoded in threads ahead of their use. Order and augmentation are functions of the seed, the
 * epoch and the record, so that a stream that starts at a position repeats what an uninterrupted one gives.
 */
export class Loader {
  readonly batchesPerEpoch: number;
  readonly #dataset: Records<ImageRecord>;
  readonly #options: LoaderOptions;
  readonly #pool: DecodePool;
  #skipped = 0;

  constructor(dataset: Records<ImageRecord>, options: LoaderOptions) {
    const { processor, seed, threads = 1, batchSize } = options;
    this.batchesPerEpoch = epochBatches(dataset.length, 0, options).length;
    if (this.batchesPerEpoch === 0) {
      throw new DataError(`the dataset has ${dataset.length} records, fewer than one batch of ${batchSize}`);
    }
    this.#dataset = dataset;
    this.#options = options;
    this.#pool = new DecodePool({ processor, seed }, threads);
  }

  /** How many images were left out because they could not be decoded. */
  get skipped(): number {
    return this.#skipped;
  }

  /**
   * Batches from a position until `epochs` epochs are done (default: without end). Throws DataError naming the record
   * whose image cannot be used; with `skipBad` batches are smaller instead, and one with nothing left is passed over.
   * Throws the signal's reason when it aborts.
   */
  async *batches(
    from: Position = { epoch: 0, batch: 0 },
    { epochs = Number.POSITIVE_INFINITY, signal }: { epochs?: number; signal?: AbortSignal } = {},
  ): AsyncGenerator<Batch, void> {
    const aborted = rejectOnAbort(signal);
    const ahead: Promise<Batch>[] = [];
    const { prefetch = 2 } = this.#options;
    const positions = this.#positions(from, epochs);
    for (;;) {
      while (ahead.length <= prefetch) {
        const next = positions.next();
        if (next.done) break;
        const batch = this.#load(next.value.indices, next.value);
        batch.catch(() => {}); // reported when its turn comes
        ahead.push(batch);
      }
      const first = ahead.shift();
      if (first === undefined) return;
      signal?.throwIfAborted(); // a batch that waits already would win the race
      const batch = await Promise.race([first, aborted]);
      if (batch.records.length > 0) yield batch;
    }
  }

  /** Ends the threads. */
  close(): Promise<void> {
    return this.#pool.close();
  }

  *#positions(from: Position, epochs: number): Generator<Position & { indices: number[] }, void> {
    for (let epoch = from.epoch; epoch < epochs; epoch++) {
      const batches = epochBatches(this.#dataset.length, epoch, this.#options);
      for (let batch = epoch === from.epoch ? from.batch : 0; batch < batches.length; batch++) {
        yield { epoch, batch, indices: batches[batch]! };
      }
    }
  }

  async #load(indices: readonly number[], { epoch, batch }: Position): Promise<Batch> {
    const loaded = await Promise.all(
      indices.map(async (index) => {
        const record = this.#dataset.record(index);
        return { index, record, image: await this.#image(record, { epoch, index }) };
      }),
    );
    const good = loaded.filter((item): item is typeof item & { image: RawImage } => item.image !== undefined);
    return {
      epoch,
      batch,
      records: good.map(({ record }) => record),
      indices: good.map(({ index }) => index),
      pixelValues: normalise(
        good.map(({ image }) => image),
        this.#options.processor,
      ),
    };
  }

  /** The record's image, or undefined where it is left out. */
  async #image(record: ImageRecord, at: { epoch: number; index: number }): Promise<RawImage | undefined> {
    const { augment, skipBad, onSkip } = this.#options;
    try {
      return await this.#pool.load(record.image, augment ? [at.epoch, at.index] : undefined);
    } catch (cause) {
      if (!(cause instanceof DataError)) throw cause;
      const error = new DataError(`record ${record.id}: ${cause.message}`, { cause });
      if (!skipBad) throw error;
      this.#skipped += 1;
      onSkip?.(error);
      return undefined;
    }
  }
}

/** Never resolves; rejects with the signal's reason when it aborts. */
function rejectOnAbort(signal: AbortSignal | undefined): Promise<never> {
  const aborted = new Promise<never>((_, reject) => {
    if (signal?.aborted) reject(signal.reason);
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  aborted.catch(() => {}); // it may abort when nobody waits
  return aborted;
}
