import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeRandomModel } from '../../test/random-model.ts';
import { UsageError } from '../core/index.ts';
import { Blip2 } from './index.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-likelihood-'));
  await writeRandomModel(folder, { language: true });
});
afterAll(() => rm(folder, { recursive: true }));

const images = ['examples/apple.webp', 'examples/guitar.webp'];
const mean = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;

it('is, of what the Q-Former wrote, what it was written with', async () => {
  const model = await Blip2.fromPretrained('pocket');
  const written = await model.caption(images);
  const captions = written.map(({ text }) => text);
  const found = await model.captionLogProbabilities(images, captions);
  expect(found.map(mean)).toEqual(written.map(({ score }) => expect.closeTo(score, 4)));
  // Of the other image the captions are less likely.
  const exchanged = await model.captionLogProbabilities(images, captions.toReversed());
  expect(exchanged.map(mean)).toEqual(written.map((_, i) => expect.closeTo(mean(exchanged[i]!), 6)));
  expect(mean(exchanged.map(mean))).toBeLessThan(mean(found.map(mean)));
  await expect(model.captionLogProbabilities(images, ['one'])).rejects.toThrow(UsageError);
  await model.release();
});

it('is, of the language model, what ranks answers, captions of any length together', async () => {
  const model = await Blip2.fromPretrained(folder);
  const captions = ['a red cat', 'dog'];
  const found = await model.captionLogProbabilities(images, captions, { prompt: 'a b' });
  for (const [i, caption] of captions.entries()) {
    const { score } = await model.answer(images[i]!, 'a b', { raw: true, candidates: [caption] });
    expect(found[i]!.reduce((sum, x) => sum + x, 0)).toBeCloseTo(score, 5);
  }
  await model.release();
});
