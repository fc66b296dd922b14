import { expect, it } from 'vitest';
import { floats, type Value } from '../core/index.ts';
import type { ImageRecord } from '../data/index.ts';
import { input, reduceMean } from '../graph/index.ts';
import { measureHeldOut } from './steps.ts';
import type { TrainingData } from './training-data.ts';

type HeldOut = Pick<TrainingData<ImageRecord>, 'images' | 'stepsPerEpoch' | 'at' | 'close'>;

/** Three batches of two pictures whose features are the batch's number; `onRead` is told each. */
function heldOut(onRead: (batch: number) => void) {
  const data: HeldOut = {
    stepsPerEpoch: 3,
    images: {
      embeds: (_, batch) => input('imageEmbeds', 'float32', [batch, 1, 1]),
      initial: async () => new Map<string, Value>(),
      load: async () => undefined,
      feeds: async () => ({}),
      close: async () => {},
    },
    at: async (batch) => {
      onRead(batch);
      return { name: 'held out', items: [], imageFeeds: { imageEmbeds: floats([2, 1, 1], [batch, batch]) } };
    },
    close: async () => {},
  };
  return measureHeldOut(
    data,
    {
      graph: (_, { imageEmbeds }) => ({ loss: reduceMean(imageEmbeds, { axes: [0, 1, 2], keepDims: false }) }),
      feeds: () => ({ tokens: 1, feeds: {} }),
    },
    { run: { batch_size_train: 2, memory_arena: false }, optimiser: { averages: {} } },
  );
}

it('is the mean over all batches', async () => {
  const held = heldOut(() => {});
  expect(await held.evaluate()).toEqual({ loss: 1 });
  await held.close();
});

it('ends between batches where it is interrupted', async () => {
  const stop = new AbortController();
  const read: number[] = [];
  const held = heldOut((batch) => {
    read.push(batch);
    if (batch === 1) stop.abort();
  });
  await expect(held.evaluate(stop.signal)).rejects.toThrow(/aborted/);
  expect(read).toEqual([0, 1]);
  await held.close();
});
