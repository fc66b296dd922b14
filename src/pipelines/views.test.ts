import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeRandomModel } from '../../test/random-model.ts';
import { floats, random, UsageError, viewRows } from '../core/index.ts';
import { Blip2 } from './index.ts';
import { viewsOf } from './views.ts';

const noise = random(1, 'picture');
const picture = (pixel: () => number) => ({
  width: 28,
  height: 28,
  channels: 3 as const,
  data: Uint8Array.from({ length: 28 * 28 * 3 }, pixel),
});
const pictures = [picture(() => noise.below(256)), picture(() => noise.below(256))];

let folder: string;
let models: Blip2[]; // the Q-Former writes, a language model does
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-views-'));
  await writeRandomModel(join(folder, 'stage1'), { temperature: 0.05 });
  await writeRandomModel(join(folder, 'stage2'), { language: true });
  models = [await Blip2.fromPretrained(join(folder, 'stage1')), await Blip2.fromPretrained(join(folder, 'stage2'))];
});
afterAll(async () => {
  for (const model of models) await model.release();
  await rm(folder, { recursive: true });
});

describe('views of pictures', () => {
  it('are moved by half a patch, and their edges repeated, as sharp does it', async () => {
    const [height, width] = [10, 12];
    const [first, second] = [0, 1].map(() => Uint8Array.from({ length: height * width * 3 }, () => noise.below(256)));
    const planes = (bytes: Uint8Array) =>
      Float32Array.from(
        { length: bytes.length },
        (_, i) => bytes[(i % (height * width)) * 3 + Math.floor(i / (height * width))]!,
      );
    const batch = floats([2, 3, height, width], [...planes(first!), ...planes(second!)]);
    const views = viewsOf(batch, { views: 4, patchSize: 6 });
    expect(views.shape).toEqual([8, 3, height, width]);
    const moves = [
      [0, 0],
      [3, 3],
      [3, 0],
      [0, 3],
    ] as const;
    for (const [i, bytes] of [first!, second!].entries()) {
      for (const [v, [left, top]] of moves.entries()) {
        const extended = await sharp(bytes, { raw: { width, height, channels: 3 } })
          .extend({ left, top, extendWith: 'copy' })
          .raw()
          .toBuffer();
        const moved = await sharp(extended, { raw: { width: width + left, height: height + top, channels: 3 } })
          .extract({ left: 0, top: 0, width, height })
          .raw()
          .toBuffer();
        expect(viewRows(views, 4 * i + v, 1).data).toEqual(planes(new Uint8Array(moved)));
      }
    }
  });

  it('are looked at together: the next word is likely by the geometric mean of what they say', async () => {
    for (const model of models) {
      const views = await model.encodeImages(pictures, { views: 4 });
      const options = { maxNewTokens: 1, numBeams: 8, numReturnSequences: 8, prompt: 'the', lengthPenalty: 0 };
      const written = await model.caption(pictures, { ...options, views: 4 });
      expect(await model.caption(views, { ...options, views: 4 })).toEqual(written);
      for (const i of pictures.keys()) {
        const some = written.slice(8 * i, 8 * i + 8).filter(({ text }) => text !== ''); // special tokens
        expect(some.length).toBeGreaterThan(1);
        const mean = async (text: string) => {
          const each = await model.captionLogProbabilities(viewRows(views, 4 * i, 4), new Array(4).fill(text), {
            prompt: 'the',
          });
          return each.reduce((sum, [word]) => sum + word!, 0) / 4;
        };
        const means = await Promise.all(some.map(({ text }) => mean(text)));
        for (const [at, { logProbability }] of some.entries()) {
          expect(logProbability - some[0]!.logProbability).toBeCloseTo(means[at]! - means[0]!, 4);
        }
      }
      const alone = await model.caption(pictures, options);
      expect(alone.map(({ logProbability }) => logProbability)).not.toEqual(written.map((w) => w.logProbability));
    }
  });

  it('go on with what was written of them all, word by word', async () => {
    const [writer] = models; // whose words are read again as they were written
    const only = { maxNewTokens: 1, numBeams: 20, numReturnSequences: 20, lengthPenalty: 0, views: 3 };
    const drawing = { doSample: true, seed: 3, numReturnSequences: 60, maxNewTokens: 3, views: 3 };
    const drawn = await writer!.caption([pictures[1]!], drawing);
    const readable = drawn.filter(({ text }) => text.split(' ').length === 3); // no special token among them
    expect(readable.length).toBeGreaterThan(2);
    for (const { text, logProbability } of readable) {
      const words = text.split(' ');
      let sum = 0;
      for (const [n, word] of words.entries()) {
        const next = await writer!.caption([pictures[1]!], { ...only, prompt: words.slice(0, n).join(' ') });
        sum += next.find((w) => w.text === word)!.logProbability;
      }
      expect(sum).toBeCloseTo(logProbability, 4);
    }
  });

  it('that are equal say what one says, by beams and draws too', async () => {
    const plain = [40, 200].map((level) => picture(() => level));
    for (const model of models) {
      for (const how of [
        {},
        { numBeams: 3, numReturnSequences: 2 },
        { doSample: true, seed: 5, numReturnSequences: 2 },
        { repetitionPenalty: 1.5 },
      ]) {
        const options = { ...how, maxNewTokens: 6 };
        const texts = async (views: number) =>
          (await model.caption(plain, { ...options, views })).map(({ text }) => text);
        expect(await texts(4)).toEqual(await texts(1));
      }
    }
  });

  it('are at most four, and given features are of all of them', async () => {
    const [model] = models;
    for (const views of [0, 1.5, 5]) {
      await expect(model!.caption(pictures, { views })).rejects.toThrow(/views: expected a whole number from 1 to 4/);
    }
    const features = await model!.encodeImages(pictures);
    await expect(model!.caption(features, { views: 4 })).rejects.toThrow(UsageError);
  });
});
