import { copyFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataError } from '../../core/index.ts';
import { parseImageProcessor } from '../../image/index.ts';
import { loadImage, nameOf } from '../image-source.ts';
import { type Dataset, type ImageRecord, openDataset, openQuestions } from './index.ts';

/** See make_parquet.py there. */
const testdata = fileURLToPath(new URL('testdata/', import.meta.url));
let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'blip2-parquet-'));
});
afterEach(() => rm(dir, { recursive: true }));

const all = <Item extends ImageRecord>(dataset: Dataset<Item>) =>
  Array.from({ length: dataset.length }, (_, i) => dataset.record(i));
const processor = parseImageProcessor({
  ...{ image_processor_type: 'BlipImageProcessor', size: 2, resample: 3 },
  ...{ image_mean: [0, 0, 0], image_std: [1, 1, 1] },
});
/** The colour of a picture of one colour. */
const colorOf = async ({ image }: ImageRecord) => [...(await loadImage(image, processor)).data.subarray(0, 3)];
const shards = (folder: string) => ({
  type: 'parquet',
  path: join(folder, 'captions-{00000..00001}-of-00002.parquet'),
});

describe('parquet', () => {
  it('reads captions and names from all shards, and their pictures by row', async () => {
    const records = all(await openDataset({ ...shards(testdata), id: 'cocoid', image_id: 'cocoid' }));
    expect(records.map(({ id, captions }) => [id, captions])).toEqual(
      [0, 1, 2, 3, 4, 5].map((i) => [`10${i}`, [`picture ${i}`, `the same ${i}`]]),
    );
    // Out of order, and all at once: groups hold two rows.
    for (const i of [5, 0, 3]) expect(await colorOf(records[i]!)).toEqual([40 * i, 0, 255 - 40 * i]);
    expect(await Promise.all(records.map(colorOf))).toEqual(records.map((_, i) => [40 * i, 0, 255 - 40 * i]));
  });

  it('names rows that have no names', async () => {
    const [first] = all(await openDataset(shards(testdata)));
    expect(first).toMatchObject({ id: expect.stringMatching(/captions-00000-of-00002\.parquet: row 0$/) });
    expect(nameOf(first!.image)).toBe(first!.id);
  });

  it('reads pictures by their paths, and names the row of one that is not there', async () => {
    const path = join(dir, 'paths.parquet');
    await copyFile(join(testdata, 'paths.parquet'), path);
    await sharp({ create: { width: 1, height: 1, channels: 3, background: '#00f' } }).toFile(join(dir, '0.png'));
    const [first, missing, none] = all(await openDataset({ type: 'parquet', path, caption: 'text' }));
    expect(first!.captions).toEqual(['a']);
    expect(await colorOf(first!)).toEqual([0, 0, 255]);
    await expect(colorOf(missing!)).rejects.toThrow(/paths\.parquet: row 1: field image: there is no none\.png/);
    await expect(colorOf(none!)).rejects.toThrow(/paths\.parquet: row 2: field image: expected the bytes or the path/);
    await expect(colorOf(none!)).rejects.toThrow(DataError);
  });

  it('names a missing column, and those that are there', async () => {
    const config = { ...shards(testdata), caption: 'captions' };
    await expect(openDataset(config)).rejects.toThrow(
      /captions-00000.*: expected a column captions, found image, caption, cocoid/,
    );
  });
});

describe('a damaged shard', () => {
  const names = [0, 1].map((i) => `captions-0000${i}-of-00002.parquet`);
  beforeEach(async () => {
    for (const name of names) await copyFile(join(testdata, name), join(dir, name));
  });

  it.each([
    ['cut off', (file: string) => truncate(file, 2000)],
    ['empty', (file: string) => writeFile(file, '')],
    ['missing', (file: string) => rm(file)],
    ['overwritten inside', blot],
  ])('that is %s is named, or left out', async (_, damage) => {
    await damage(join(dir, names[0]!));
    const message = /captions-00000-of-00002\.parquet: /;
    await expect(openDataset(shards(dir))).rejects.toThrow(message);
    await expect(openDataset(shards(dir))).rejects.toThrow(DataError);
    const skipped: string[] = [];
    const dataset = await openDataset(shards(dir), { skipBad: true, onSkip: ({ message: m }) => skipped.push(m) });
    expect([dataset.length, skipped]).toEqual([3, [expect.stringMatching(message)]]);
  });
});

/** Damages the page of captions, and leaves the rest. */
async function blot(file: string): Promise<void> {
  const bytes = await readFile(file);
  const at = bytes.indexOf('picture 0');
  await writeFile(file, bytes.fill(0xff, at - 40, at + 20));
}

describe('questions in parquet', () => {
  const path = join(testdata, 'vqa.parquet');
  const config = { type: 'parquet', path, id: 'question_id', image_id: 'image_id', kind: 'answer_type' };

  it("are read in VQAv2's structure, and one without answers is named or left out", async () => {
    const message = /vqa\.parquet: row 2: field answers: expected at least one answer/;
    await expect(openQuestions(config)).rejects.toThrow(message);
    const records = all(await openQuestions(config, { skipBad: true }));
    expect(records).toMatchObject([
      { id: '1000', imageId: '1', question: 'What color is it?', kind: 'other' },
      { id: '1001', imageId: '1', question: 'Is it red?', kind: 'yes/no' },
    ]);
    expect(records[0]!.answers).toEqual([
      { text: 'red', weight: 0.7 },
      { text: 'blue', weight: 0.3 },
    ]);
    expect(await colorOf(records[1]!)).toEqual([0, 0, 255]);
  });

  it('have no answers where they are null, as in a test split', async () => {
    const [hidden] = all(await openQuestions({ ...config, path: join(testdata, 'vqa-test.parquet') }));
    expect(hidden).toMatchObject({ id: '3000', question: 'What is it?', answers: [], references: [] });
    expect(hidden!.kind).toBeUndefined();
  });

  it('have no answers where there is no column of them, unless the recipe names it', async () => {
    const without = { type: 'parquet', path: join(testdata, 'paths.parquet'), question: 'text' };
    const records = all(await openQuestions(without));
    expect(records.map(({ question, answers }) => [question, answers])).toEqual([
      ['a', []],
      ['b', []],
      ['c', []],
    ]);
    await expect(openQuestions({ ...without, answers: 'answers' })).rejects.toThrow(
      /paths\.parquet: expected a column answers, found image, text/,
    );
  });
});
