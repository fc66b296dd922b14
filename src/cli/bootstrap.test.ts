import { existsSync } from 'node:fs';
import { appendFile, copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeSmallCutouts } from '../../test/small-cutouts.ts';
import { openDataset } from '../data/index.ts';
import { Blip2 } from '../pipelines/index.ts';
import { bootstrap, bootstrapRecipe } from './bootstrap.ts';
import { type BootstrapRecord, bootstrapRecord } from './record-file.ts';

/** The pictures of examples/, with a caption that is right, or one that is wrong. */
const given = {
  'apple.webp': 'a red apple',
  'bicycle.webp': 'a guitar',
  'guitar.webp': 'a guitar',
  'hamburger.webp': 'a bicycle',
};
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-bootstrap-'));
  for (const name of Object.keys(given)) await copyFile(join('examples', name), join(folder, name));
  const rows = Object.entries(given).map(([image, caption]) => ({ image, caption }));
  await writeFile(join(folder, 'given.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
});
afterAll(() => rm(folder, { recursive: true }));

const recipe = (output: string, run: object = {}) =>
  bootstrapRecipe.parse({
    ...{ task: 'bootstrap', model: 'pocket', data: { train: [{ type: 'jsonl', path: join(folder, 'given.jsonl') }] } },
    run: { output: join(folder, output), batch_size_eval: 2, candidates: 2, max_len: 5, seed: 3, ...run },
  });
const read = async (name: string): Promise<BootstrapRecord[]> =>
  (await readFile(join(folder, name), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => bootstrapRecord.parse(JSON.parse(line)));

it('ranks what is drawn with what was given, by the cosines that the model gives them', async () => {
  expect(await bootstrap(recipe('out/all.jsonl', { keep: 9 }))).toEqual({ pictures: 4, kept: 4 });
  const records = await read('out/all.jsonl');
  const model = await Blip2.fromPretrained('pocket');
  for (const { image, image_id, captions, scores } of records) {
    expect(image).toBe(`../${image_id}`);
    expect(captions).toContain(Object.entries(given).find(([name]) => name === image_id)![1]);
    expect(new Set(captions).size).toBe(captions.length);
    const matches = await model.match(join(folder, image_id), captions);
    expect(scores).toEqual(matches.map(({ itc }) => expect.closeTo(itc, 3)));
    expect(scores).toEqual(scores.toSorted((a, b) => b - a));
  }
  await model.release();
  expect(Math.max(...records.map(({ captions }) => captions.length))).toBeGreaterThan(1);
});

it('keeps the best only, and what is interrupted goes on to the same', async () => {
  const all = await read('out/all.jsonl');
  const threshold = all.map(({ scores }) => scores[0]!).sort((a, b) => a - b)[1]!; // one picture has nothing so good
  const best = all.flatMap((record) => {
    const n = Math.min(2, record.scores.filter((score) => score >= threshold).length);
    return n === 0 ? [] : [{ ...record, captions: record.captions.slice(0, n), scores: record.scores.slice(0, n) }];
  });
  expect(best).toHaveLength(3);

  const wanted = recipe('out/best.jsonl', { keep: 2, threshold });
  const controller = new AbortController();
  const interrupted = bootstrap(wanted, { signal: controller.signal, onProgress: () => controller.abort() });
  await expect(interrupted).rejects.toThrow(controller.signal.reason);
  expect(existsSync(join(folder, 'out/best.jsonl'))).toBe(false);
  await appendFile(join(folder, 'out/best.jsonl.partial'), '{"image": "../gui'); // as a crash would leave it
  const seen: string[] = [];
  const onProgress = (done: number, total: number) => seen.push(`${done}/${total}`);
  expect(await bootstrap(wanted, { onProgress })).toEqual({ pictures: 4, kept: 3 });
  expect(seen).toEqual(['2/2']);
  expect(await read('out/best.jsonl')).toEqual(best);
  expect(existsSync(join(folder, 'out/best.jsonl.partial'))).toBe(false);
});

it('writes what the dataset jsonl reads', async () => {
  const records = await read('out/best.jsonl');
  const dataset = await openDataset({ type: 'jsonl', path: join(folder, 'out/best.jsonl') });
  expect([...records.keys()].map((i) => dataset.record(i))).toMatchObject(
    records.map(({ image_id, captions }) => ({ imageId: image_id, captions })),
  );
});

it('ranks by ITM, too', async () => {
  await bootstrap(recipe('itm.jsonl', { candidates: 0, score: 'itm' }));
  const model = await Blip2.fromPretrained('pocket');
  for (const { image, captions, scores } of await read('itm.jsonl')) {
    const [match] = await model.match(join(folder, image), captions);
    expect(scores).toEqual([expect.closeTo(match!.itm, 3)]);
  }
  await model.release();
});

it('names, or leaves out, a picture that cannot be used', async () => {
  await writeFile(join(folder, 'bad.png'), 'no picture');
  const rows = ['guitar.webp', 'bad.png'].map((image) => JSON.stringify({ image, caption: 'a guitar' }));
  await writeFile(join(folder, 'bad.jsonl'), rows.join('\n'));
  const wanted = { ...recipe('good.jsonl', { candidates: 0 }), data: recipe('').data };
  wanted.data.train = [{ type: 'jsonl', path: join(folder, 'bad.jsonl') }];
  await expect(bootstrap(wanted)).rejects.toThrow(/bad\.png: .*expected an image/);
  const skipped: string[] = [];
  const onSkip = ({ message }: Error) => skipped.push(message);
  expect(await bootstrap(wanted, { onSkip })).toEqual({ pictures: 2, kept: 1 });
  expect(skipped).toEqual([expect.stringMatching(/bad\.png/)]);
});

it('wants pictures in files of their own', async () => {
  await writeSmallCutouts(folder);
  const wanted = recipe('scenes.jsonl');
  const size = { size: 28, seed: 0, singles: 0, places: false, looks: 0, split: 'train' };
  wanted.data.train = [{ type: 'scenes', path: folder, n: 1, ...size }];
  await expect(bootstrap(wanted)).rejects.toThrow(/the scene ".*": expected a picture in a file of its own/);
});
