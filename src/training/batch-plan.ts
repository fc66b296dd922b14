import { random } from '../core/index.ts';

/** A batch of one dataset: records by index, and the epoch, which draws their captions. */
export interface PlannedBatch {
  readonly dataset: number;
  readonly indices: readonly number[];
  readonly epoch: number;
}

/**
 * Which records each step trains on: a function of the sizes, the seed and the step alone, so that a resumed run goes on
 * where it was. Every batch comes from one dataset, whose captions are alike in length and hard to tell apart; an epoch
 * goes once through all datasets, less what does not fill a batch.
 */
export class BatchPlan {
  readonly stepsPerEpoch: number;
  readonly #sizes: readonly number[];
  readonly #batchSize: number;
  readonly #seed: number;
  #epoch = -1;
  #batches: PlannedBatch[] = [];

  constructor(sizes: readonly number[], { batchSize, seed }: { batchSize: number; seed: number }) {
    this.#sizes = sizes;
    this.#batchSize = batchSize;
    this.#seed = seed;
    this.stepsPerEpoch = sizes.reduce((sum, size) => sum + Math.floor(size / batchSize), 0);
  }

  at(step: number): PlannedBatch {
    const epoch = Math.floor(step / this.stepsPerEpoch);
    if (epoch !== this.#epoch) {
      this.#batches = this.#draw(epoch);
      this.#epoch = epoch;
    }
    return this.#batches[step % this.stepsPerEpoch]!;
  }

  #draw(epoch: number): PlannedBatch[] {
    const batches = this.#sizes.flatMap((size, dataset) => {
      const order = random(this.#seed, 'order', epoch, dataset).shuffle([...Array(size).keys()]);
      const count = Math.floor(size / this.#batchSize);
      return Array.from({ length: count }, (_, i) => ({
        dataset,
        epoch,
        indices: order.slice(i * this.#batchSize, (i + 1) * this.#batchSize),
      }));
    });
    return random(this.#seed, 'batches', epoch).shuffle(batches);
  }
}
