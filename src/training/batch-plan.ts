import { random } from '../core/index.ts';

/** A batch of one dataset: records by index, and the epoch, which draws their captions. */
export interface PlannedBatch {
  readonly dataset: number;
  readonly indices: readonly number[];
  readonly epoch: number;
}

/** What the plan has to know of a dataset: how many records it has, and how many in a row belong together. */
export interface PlannedSet {
  readonly length: number;
  readonly together?: number | undefined;
}

/**
 * Which records each step trains on: a function of the sizes, the seed and the step alone, so that a resumed run goes on
 * where it was. Every batch comes from one dataset, whose captions are alike in length and hard to tell apart; an epoch
 * goes once through all datasets, less what does not fill a batch.
 */
export class BatchPlan {
  readonly stepsPerEpoch: number;
  readonly #sets: readonly PlannedSet[];
  readonly #batchSize: number;
  readonly #seed: number;
  #epoch = -1;
  #batches: PlannedBatch[] = [];

  constructor(sets: readonly PlannedSet[], { batchSize, seed }: { batchSize: number; seed: number }) {
    this.#sets = sets;
    this.#batchSize = batchSize;
    this.#seed = seed;
    this.stepsPerEpoch = sets.reduce((sum, set) => sum + Math.floor(inUnits(set) / batchSize), 0);
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
    const batches = this.#sets.flatMap(({ length, together = 1 }, dataset) => {
      const units = random(this.#seed, 'order', epoch, dataset).shuffle([
        ...Array(Math.floor(length / together)).keys(),
      ]);
      const order = units.flatMap((unit) => Array.from({ length: together }, (_, i) => unit * together + i));
      const count = Math.floor(order.length / this.#batchSize);
      return Array.from({ length: count }, (_, i) => ({
        dataset,
        epoch,
        indices: order.slice(i * this.#batchSize, (i + 1) * this.#batchSize),
      }));
    });
    return random(this.#seed, 'batches', epoch).shuffle(batches);
  }
}

/** How many records a set has in whole units. */
const inUnits = ({ length, together = 1 }: PlannedSet): number => length - (length % together);
