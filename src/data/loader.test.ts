import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import fc from 'fast-check';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DataError, random } from '../core/index.ts';
import { parseImageProcessor, pixelValues } from '../image/index.ts';
import type { ImageTextRecord, Records } from './datasets/index.ts';
import { type Batch, epochBatches, Loader, type LoaderOptions, loadImage } from './index.ts';
import { composeScene, sceneVocabulary } from './scenes/index.ts';

const processor = parseImageProcessor({
  image_processor_type: 'BlipImageProcessor',
  size: 16,
  resample: 3,
  image_mean: [0.5, 0.5, 0.5],
  image_std: [0.25, 0.25, 0.25],
});
const count = 11;
let dir: string;
const file = (i: number) => join(dir, `${i}.png`);

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'blip2-loader-'));
  for (let i = 0; i < count; i++) {
    const draws = random(i, 'pixels');
    const pixels = Uint8Array.from({ length: 20 * 24 * 4 }, () => draws.below(256));
    await sharp(pixels, { raw: { width: 20, height: 24, channels: 4 } })
      .png()
      .toFile(file(i));
  }
});
afterAll(() => rm(dir, { recursive: true }));

const dataset: Records = {
  length: count,
  record: (i): ImageTextRecord => ({
    ...{ id: `r${i}`, imageId: `r${i}`, image: { kind: 'file', path: file(i) } },
    captions: [`${i}`, `again ${i}`],
  }),
};
const withBad = (bad: string): Records => ({
  ...dataset,
  record: (i) => (i === 4 ? { ...dataset.record(i), image: { kind: 'file', path: bad } } : dataset.record(i)),
});

async function collect(records: Records, options: Partial<LoaderOptions>, ...args: Parameters<Loader['batches']>) {
  const loader = new Loader(records, { batchSize: 3, seed: 7, processor, threads: 2, ...options });
  try {
    const batches: Batch[] = [];
    for await (const batch of loader.batches(...args)) batches.push(batch);
    return { batches, skipped: loader.skipped, batchesPerEpoch: loader.batchesPerEpoch };
  } finally {
    await loader.close();
  }
}

describe('the order of an epoch', () => {
  it('shows every record once, and differs between epochs and seeds', () => {
    const options = { batchSize: 4, seed: 1, dropLast: false };
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.nat(9), (length, epoch) => {
        const shown = epochBatches(length, epoch, options).flat();
        expect(shown.toSorted((a, b) => a - b)).toEqual(Array.from({ length }, (_, i) => i));
      }),
    );
    expect(epochBatches(50, 0, options)).not.toEqual(epochBatches(50, 1, options));
    expect(epochBatches(50, 0, options)).not.toEqual(epochBatches(50, 0, { ...options, seed: 2 }));
  });

  it('leaves out the last batch of a shuffled epoch only', () => {
    const sizes = (shuffle: boolean) => epochBatches(10, 0, { batchSize: 4, seed: 1, shuffle }).map((b) => b.length);
    expect(sizes(true)).toEqual([4, 4]);
    expect(sizes(false)).toEqual([4, 4, 2]);
  });
});

describe('batches', () => {
  it('hold what decoding in this thread gives, in the order of the records', async () => {
    const { batches, batchesPerEpoch } = await collect(dataset, { shuffle: false }, undefined, { epochs: 1 });
    expect(batches.map(({ records }) => records.map(({ id }) => id).join())).toEqual([
      'r0,r1,r2',
      'r3,r4,r5',
      'r6,r7,r8',
      'r9,r10',
    ]);
    expect(batchesPerEpoch).toBe(4);
    for (const { records, pixelValues: found } of batches) {
      const images = await Promise.all(records.map(({ image }) => loadImage(image, processor)));
      expect(found).toEqual(pixelValues(images, processor));
    }
  });

  it.each([{ augment: false }, { augment: true, threads: 1, prefetch: 0 }])(
    'go on exactly from any position %j',
    async (options) => {
      const { batches, batchesPerEpoch } = await collect(dataset, { augment: options.augment }, undefined, {
        epochs: 3,
      });
      expect(batches.length).toBe(3 * batchesPerEpoch);
      for (const at of [2, 2 * batchesPerEpoch]) {
        const { epoch, batch } = batches[at]!;
        const resumed = await collect(dataset, options, { epoch, batch }, { epochs: 3 });
        expect(resumed.batches).toEqual(batches.slice(at));
      }
    },
  );

  it('are augmented anew in every epoch', async () => {
    const one: Records = { ...dataset, length: 1 };
    const { batches } = await collect(one, { augment: true, batchSize: 1 }, undefined, { epochs: 4 });
    expect(new Set(batches.map(({ pixelValues }) => pixelValues.data.join())).size).toBe(4);
  });

  it('show scenes unaugmented', async () => {
    const row = {
      caption: 'a cat',
      captions: ['a cat'],
      source: 'emoji',
      group: 'objects',
      subgroup: 'tool',
      split: 'train',
    };
    const nouns = ['a cat', 'a dog', 'a key', 'a car', 'a bus', 'a pen'];
    const vocabulary = sceneVocabulary(nouns.map((caption, id) => ({ ...row, id, caption, image: `${id}.png` })));
    const scene = composeScene(random(1), vocabulary, { size: 32 });
    const scenes: Records = {
      length: 1,
      record: () => ({ id: 's', imageId: 's', image: { kind: 'scene', folder: dir, scene }, captions: scene.captions }),
    };
    const { batches } = await collect(scenes, { augment: true, batchSize: 1 }, undefined, { epochs: 2 });
    expect(batches[0]!.pixelValues).toEqual(batches[1]!.pixelValues);
    expect(batches[0]!.pixelValues.shape).toEqual([1, 3, 16, 16]);
  });
});

describe('a bad image', () => {
  it.each([
    ['empty', '', /record r4: .*bad\.png: .*empty file/],
    ['damaged', 'no image', /record r4: .*bad\.png: expected an image/],
  ])('that is %s is named, or skipped and counted', async (_, content, message) => {
    const bad = join(dir, 'bad.png');
    await writeFile(bad, content);
    const run = (options: Partial<LoaderOptions>) =>
      collect(withBad(bad), { shuffle: false, ...options }, undefined, { epochs: 2 });
    await expect(run({})).rejects.toThrow(message);
    const errors: DataError[] = [];
    const { batches, skipped } = await run({ skipBad: true, onSkip: (error) => errors.push(error) });
    expect([skipped, errors.length]).toEqual([2, 2]);
    expect(errors[0]!.message).toMatch(message);
    expect(batches[1]!.records.map(({ id }) => id)).toEqual(['r3', 'r5']);
    expect(batches[1]!.pixelValues.shape).toEqual([2, 3, 16, 16]);
  });

  it('alone in its batch leaves no batch', async () => {
    const options = { shuffle: false, batchSize: 1, skipBad: true };
    const { batches } = await collect(withBad(join(dir, 'none.png')), options, undefined, { epochs: 1 });
    expect(batches.length).toBe(count - 1);
    expect(batches[4]!.batch).toBe(5);
  });
});

it('stops with the reason of its signal, also where further batches wait', async () => {
  const controller = new AbortController();
  const loader = new Loader(dataset, { batchSize: 2, seed: 1, processor });
  const seen: number[] = [];
  const run = async () => {
    for await (const { batch } of loader.batches(undefined, { signal: controller.signal })) {
      seen.push(batch);
      if (batch !== 2) continue;
      await setTimeout(300); // the next ones are decoded by then
      controller.abort(new Error('enough'));
    }
  };
  await expect(run()).rejects.toThrow('enough');
  expect(seen).toEqual([0, 1, 2]);
  await loader.close();
});

it('decodes no more than the batches ahead', async () => {
  let asked = 0;
  const counting: Records = {
    ...dataset,
    record(i) {
      asked += 1;
      return dataset.record(i);
    },
  };
  const loader = new Loader(counting, { batchSize: 1, seed: 1, processor, prefetch: 3 });
  await loader.batches().next();
  expect(asked).toBe(4);
  await loader.close();
});

it('refuses a dataset smaller than a batch', () => {
  expect(() => new Loader(dataset, { batchSize: 12, seed: 1, processor })).toThrow(
    /11 records, fewer than one batch of 12/,
  );
});

it('gives nothing after it was closed', async () => {
  const loader = new Loader(dataset, { batchSize: 2, seed: 1, processor });
  await loader.close();
  await expect(loader.batches().next()).rejects.toThrow('closed');
});
