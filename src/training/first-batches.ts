import type { ImageRecord } from '../data/index.ts';
import type { Recipe } from './recipe.ts';
import type { Batch, TrainingData } from './training-data.ts';

export interface FirstBatches {
  /** How many pictures are read, and how many of them are in memory at a time. */
  readonly pictures: number;
  readonly atOnce: number;
  readonly run: Pick<Recipe['run'], 'max_steps' | 'batch_size_train' | 'accum_grad_iters'>;
  readonly signal: AbortSignal | undefined;
}

/**
 * The batches of a run's first steps, some at a time: what a start that depends on pictures is found by. Throws the signal's
 * reason.
 */
export async function* firstBatches<Item extends ImageRecord>(
  training: Pick<TrainingData<Item>, 'at'>,
  { pictures, atOnce, run: { max_steps, batch_size_train: size, accum_grad_iters: parts }, signal }: FirstBatches,
): AsyncGenerator<Batch<Item>[]> {
  const count = Math.min(max_steps * parts, Math.ceil(pictures / size));
  const together = Math.ceil(atOnce / size);
  for (let start = 0; start < count; start += together) {
    signal?.throwIfAborted();
    const batches: Batch<Item>[] = [];
    for (let step = start; step < Math.min(count, start + together); step++) {
      batches.push(await training.at(step, count));
    }
    yield batches;
  }
}
