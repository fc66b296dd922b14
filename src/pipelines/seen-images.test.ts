/** A picture is looked at once, however often it is asked about. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, type MockInstance, vi } from 'vitest';
import { writeRandomModel } from '../../test/random-model.ts';
import { Blip2 } from './index.ts';
import { Sessions } from './sessions.ts';

const picture = (color: number) => ({
  ...{ width: 28, height: 28, channels: 3 as const },
  data: new Uint8Array(28 * 28 * 3).fill(color),
});
const image = picture(90);

let folder: string;
let model: Blip2;
let looks: MockInstance<Sessions['vision']>;
let reads: MockInstance<Sessions['queries']>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-seen-'));
  await writeRandomModel(folder, { language: true });
  model = await Blip2.fromPretrained(folder);
});
beforeEach(async () => {
  await model.release();
  looks = vi.spyOn(Sessions.prototype, 'vision');
  reads = vi.spyOn(Sessions.prototype, 'queries');
});
afterEach(() => vi.restoreAllMocks());
afterAll(async () => {
  await model.release();
  await rm(folder, { recursive: true });
});

it('the encoder and the queries see a picture once for all questions, captions and texts', async () => {
  const first = await model.answer(image, 'a cat');
  expect(await model.answer(picture(90), 'a cat')).toEqual(first); // the same picture, not the same object
  await model.answer(image, 'a dog', { candidates: ['red', 'blue'] });
  await model.caption([image]);
  await model.match(image, ['a cat', 'a dog']);
  for await (const _ of model.streamAnswer(image, 'a dog'));
  expect(looks).toHaveBeenCalledTimes(1);
  expect(reads).toHaveBeenCalledTimes(1);
});

it('another picture is another one, and so is one that came too long ago', async () => {
  for (const color of [1, 2, 3, 4, 5, 6, 7, 8]) await model.encodeImages([picture(color)]);
  expect(looks).toHaveBeenCalledTimes(8);
  await model.encodeImages([picture(1)]);
  expect(looks).toHaveBeenCalledTimes(8);
  await model.encodeImages([picture(9)]); // in place of 2, the one that was asked about longest ago
  await model.encodeImages([picture(1)]);
  expect(looks).toHaveBeenCalledTimes(9);
  await model.encodeImages([picture(2)]);
  expect(looks).toHaveBeenCalledTimes(10);
});

it('what is done to the numbers that came out changes nothing', async () => {
  const expected = await model.answer(image, 'a cat');
  (await model.encodeImages([image])).data.fill(0);
  const { image_embeds, image_embeds_proj } = await model.embed({ images: [image] });
  for (const { data } of [image_embeds!, image_embeds_proj!]) data.fill(0 as never);
  expect(await model.answer(image, 'a cat')).toEqual(expected);
});

it('what failed is tried again', async () => {
  looks.mockRejectedValueOnce(new Error('no memory'));
  await expect(model.answer(image, 'a cat')).rejects.toThrow('no memory');
  await model.answer(image, 'a cat');
  reads.mockRejectedValueOnce(new Error('no memory'));
  await expect(model.answer(picture(91), 'a cat')).rejects.toThrow('no memory');
  await model.answer(picture(91), 'a cat');
});
