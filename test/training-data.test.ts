/** Pictures read while training, on a small random encoder. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { random } from '../src/core/index.ts';
import { type ImageTextRecord, openDataset } from '../src/data/index.ts';
import { captionOf } from '../src/training/captions.ts';
import { readRecipe } from '../src/training/index.ts';
import { readStageOne } from '../src/training/pretrained.ts';
import type { TrainOptions } from '../src/training/task.ts';
import { type Batch, type DataSource, TrainingData } from '../src/training/training-data.ts';
import { writeRandomModel } from './random-model.ts';
import { writeSmallCutouts } from './small-cutouts.ts';

const count = 5;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-data-'));
  await writeRandomModel(join(folder, 'model'));
  const rows = Array.from({ length: count }, (_, i) => ({ id: `r${i}`, image: `${i}.png`, caption: `picture ${i}` }));
  for (const [i, { image }] of rows.entries()) {
    const draws = random(i, 'pixels');
    const pixels = Uint8Array.from({ length: 40 * 36 * 3 }, () => draws.below(256));
    await sharp(pixels, { raw: { width: 40, height: 36, channels: 3 } })
      .png()
      .toFile(join(folder, image));
  }
  await writeFile(join(folder, 'bad.png'), 'not a picture');
  const lines = (list: readonly object[]) => list.map((row) => JSON.stringify(row)).join('\n');
  await writeFile(join(folder, 'good.jsonl'), lines(rows));
  await writeFile(
    join(folder, 'bad.jsonl'),
    lines(rows.map((row, i) => (i === 2 ? { ...row, image: 'bad.png' } : row))),
  );
});
afterAll(() => rm(folder, { recursive: true }));

const open = (file: string, options: TrainOptions = {}, mix?: DataSource<ImageTextRecord>['mix']) =>
  openSet(`{ type: jsonl, path: ${join(folder, file)} }`, options, mix);

async function openSet(
  dataset: string,
  options: TrainOptions = {},
  mix?: DataSource<ImageTextRecord>['mix'],
): Promise<TrainingData<ImageTextRecord>> {
  const model = join(folder, 'model');
  const recipe = `task: retrieval
model: { pretrained: ${model}, freeze_vit: true }
data: { train: [${dataset}], augment: true }
run: { output_dir: ${folder}/run, batch_size_train: 2, max_steps: 20, seed: 4, threads: 1 }
`;
  await writeFile(join(folder, 'recipe.yaml'), recipe);
  const { images } = await readStageOne(model);
  return TrainingData.open(
    await readRecipe(join(folder, 'recipe.yaml')),
    { images, dataset: openDataset, mix },
    options,
  );
}

const idsOf = ({ items }: Batch<ImageTextRecord>) => items.map(({ record }) => record.id);

it('gives every step the same pictures whether steps come in order or not, and augments anew in every epoch', async () => {
  const [straight, jumping] = [await open('good.jsonl'), await open('good.jsonl')];
  const batches: Batch<ImageTextRecord>[] = [];
  for (let step = 0; step < 4 * straight.stepsPerEpoch; step++) batches.push(await straight.at(step));
  expect(await jumping.at(5)).toEqual(batches[5]);
  expect(await jumping.at(2)).toEqual(batches[2]);

  const seen = batches.flatMap(({ items, imageFeeds }) =>
    items.map(({ record }, i) => {
      const { shape, data } = imageFeeds.imageEmbeds!;
      const size = data.length / shape[0]!;
      return `${record.id} ${data.slice(i * size, (i + 1) * size).join()}`;
    }),
  );
  expect(new Set(seen).size).toBe(seen.length);
  await Promise.all([straight.close(), jumping.close()]);
});

it('names a picture that cannot be used, or takes the next one and says so once', async () => {
  const strict = await open('bad.jsonl');
  const readAll = async (data: TrainingData<ImageTextRecord>) => {
    const ids: string[][] = [];
    for (let step = 0; step < 6 * data.stepsPerEpoch; step++) ids.push(idsOf(await data.at(step)));
    return ids;
  };
  await expect(readAll(strict)).rejects.toThrow(/record r2: .*bad\.png/);
  const messages: string[] = [];
  const lenient = await open('bad.jsonl', { skipBad: true, onMessage: (m) => messages.push(m) });
  const good = await open('good.jsonl');
  expect(await readAll(lenient)).toEqual(
    (await readAll(good)).map((ids) => ids.map((id) => (id === 'r2' ? 'r3' : id))),
  );
  expect(messages).toHaveLength(1);
  expect(messages[0]).toMatch(/left out: record r2: .*bad\.png/);
  await Promise.all([strict.close(), lenient.close(), good.close()]);
});

it('gives a step what is made of its batch', async () => {
  const named = await open('good.jsonl', {}, (batch, step) => ({ ...batch, name: `${step}: ${batch.name}` }));
  const plain = await open('good.jsonl');
  const batch = await plain.at(3);
  expect(await named.at(3)).toEqual({ ...batch, name: `3: ${batch.name}` });
  await Promise.all([named.close(), plain.close()]);
});

it('shows twins in one batch, said the same way but for what is exchanged', async () => {
  const cutouts = join(folder, 'cutouts');
  await writeSmallCutouts(cutouts);
  const data = await openSet(`{ type: twin_scenes, path: ${cutouts}, n: 8 }`);
  const drawn = new Set<number>();
  for (let step = 0; step < 3 * data.stepsPerEpoch; step++) {
    const { items } = await data.at(step);
    const [first, twin] = items.map((item) => item.record.captions.indexOf(captionOf(item, 4)));
    expect(twin).toBe(first);
    drawn.add(first!);
  }
  expect(drawn.size).toBeGreaterThan(1);
  await data.close();
});
