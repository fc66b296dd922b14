import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeRandomModel } from '../../test/random-model.ts';
import { DataError, random } from '../core/index.ts';
import { Blip2 } from '../pipelines/index.ts';
import { captions } from './captions.ts';
import { type DecodedImage, decodeImages } from './images.ts';
import { type CaptionRecord, captionRecord, RecordFile } from './record-file.ts';

/** Some images, every third of them damaged. */
const count = 9;
const isBad = (i: number) => i % 3 === 1;

let folder: string;
let model: Blip2;
let images: string[];
let decoded: DecodedImage[];
let expected: CaptionRecord[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-captions-'));
  await writeRandomModel(join(folder, 'model'));
  model = await Blip2.fromPretrained(join(folder, 'model'));
  images = await Promise.all(Array.from({ length: count }, (_, i) => drawImage(i)));
  decoded = [];
  for await (const each of decodeImages(images, { processor: model.files.processor, ahead: count })) decoded.push(each);
  expected = [];
  for (const image of images.filter((_, i) => !isBad(i))) {
    const [written] = await model.caption([image], { maxNewTokens: 6 });
    expected.push({ image, caption: written!.text, score: written!.score });
  }
});
afterAll(async () => {
  await model.release();
  await rm(folder, { recursive: true });
});

async function drawImage(i: number): Promise<string> {
  const file = join(folder, `${i}.png`);
  const draws = random(i, 'picture');
  const [width, height] = [20 + draws.below(40), 20 + draws.below(40)];
  const data = Uint8Array.from({ length: width * height * 3 }, () => draws.below(256));
  const png = await sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
  await writeFile(file, isBad(i) ? png.subarray(0, 60) : png);
  return file;
}

async function* stream(chosen: readonly string[]): AsyncGenerator<DecodedImage> {
  for (const image of chosen) yield decoded[images.indexOf(image)]!;
}

/** The captions until there are so many, or an error, which is given back. */
async function collect(
  chosen: readonly string[],
  options: { batchSize: number; onBad?: (error: DataError) => void; until?: number },
): Promise<{ records: CaptionRecord[]; error?: unknown }> {
  const records: CaptionRecord[] = [];
  try {
    for await (const record of captions(model, stream(chosen), { ...options, maxNewTokens: 6 })) {
      records.push(record);
      if (records.length === options.until) break;
    }
    return { records };
  } catch (error) {
    return { records, error };
  }
}

/** The same but for the last digits of the score, which depend on how many rows a matrix product has. */
function expectSame(found: readonly CaptionRecord[], wanted: readonly CaptionRecord[]): void {
  const words = (records: readonly CaptionRecord[]) => records.map(({ image, caption }) => ({ image, caption }));
  expect(words(found)).toEqual(words(wanted));
  for (const [i, { score }] of found.entries()) expect(score).toBeCloseTo(wanted[i]!.score, 4);
}

const batchSizes = fc.integer({ min: 1, max: count + 1 });

const outcome = (item: DecodedImage) => ('error' in item ? { ...item, error: item.error.message } : item);

describe('decoded images', () => {
  it('come in order, the same from threads as from this one, and bad ones with what is wrong', async () => {
    for (const ahead of [1, 4]) {
      const threaded: DecodedImage[] = [];
      for await (const each of decodeImages(images, { processor: model.files.processor, ahead })) threaded.push(each);
      expect(threaded.map(outcome)).toEqual(decoded.map(outcome));
    }
    expect(decoded.map((each) => 'error' in each)).toEqual(images.map((_, i) => isBad(i)));
  });

  it('may be left before their end', async () => {
    for await (const { image } of decodeImages(images, { processor: model.files.processor, ahead: 2 })) {
      expect(image).toBe(images[0]);
      break;
    }
  });
});

describe('captions', () => {
  it('has pictures that are captioned differently', () => {
    expect(new Set(expected.map(({ caption }) => caption)).size).toBeGreaterThan(1);
  });

  it('are those of one image at a time, in the order of the images, whatever the batch', async () => {
    await fc.assert(
      fc.asyncProperty(batchSizes, fc.shuffledSubarray([...Array(count).keys()]), async (batchSize, order) => {
        const bad: string[] = [];
        const onBad = ({ message }: DataError) => bad.push(message);
        const { records, error } = await collect(
          order.map((i) => images[i]!),
          { batchSize, onBad },
        );
        expect(error).toBeUndefined();
        expectSame(
          records,
          order.filter((i) => !isBad(i)).map((i) => expected.find(({ image }) => image === images[i])!),
        );
        expect(bad.map((message) => message.split(': ')[0])).toEqual(order.filter(isBad).map((i) => images[i]));
      }),
      { numRuns: 12 },
    );
  });

  it('end at a bad image, after those before it', async () => {
    for (const batchSize of [1, 2, 8]) {
      const { records, error } = await collect(images, { batchSize });
      expectSame(records, expected.slice(0, 1));
      expect(error).toBeInstanceOf(DataError);
      expect(String(error)).toContain(images[1]);
    }
  });

  it('go on from an interruption to the file that an uninterrupted run writes', async () => {
    const good = expected.map(({ image }) => image);
    await fc.assert(
      fc.asyncProperty(batchSizes, fc.integer({ min: 1, max: good.length }), async (batchSize, until) => {
        const path = join(folder, `${batchSize}-${until}.jsonl`);
        const begun = await RecordFile.open(path, captionRecord, {});
        for (const record of (await collect(good, { batchSize, until })).records) await begun.add(record);
        const file = await RecordFile.open(path, captionRecord, {});
        const left = good.filter((image) => !file.has(image));
        expect(left).toEqual(good.slice(until));
        for (const record of (await collect(left, { batchSize })).records) await file.add(record);
        await file.finish(good);
        const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
        expectSame(
          lines.map((line) => captionRecord.parse(JSON.parse(line))),
          expected,
        );
        await rm(path);
      }),
      { numRuns: 8 },
    );
  });

  it('stop when they are told to', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    const stopped = captions(model, stream(images), { batchSize: 2, signal }).next();
    await expect(stopped).rejects.toThrow('enough');
  });
});
