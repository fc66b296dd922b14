import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeRandomModel } from '../../test/random-model.ts';
import { toFloat32 } from '../core/index.ts';
import type { RawImage } from '../image/index.ts';
import { Blip2 } from './index.ts';

let folder: string;
const at = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-image-thread-'));
  await writeRandomModel(at('mapped'), { language: true }); // encodes in this thread
  await writeRandomModel(at('packed'), { language: true, quantised: true }); // in another
});
afterAll(() => rm(folder, { recursive: true }));

const pictures = [1, 2, 3].map((seed): RawImage => {
  const data = Uint8Array.from({ length: 30 * 20 * 3 }, (_, i) => (i * 7 * seed + seed) % 256);
  return { width: 30, height: 20, channels: 3, data };
});

it('gives what encoding in this thread gives, whatever is asked first, and the same after a release', async () => {
  const [here, there] = [await Blip2.fromPretrained(at('mapped')), await Blip2.fromPretrained(at('packed'))];
  const options = { maxNewTokens: 6 };
  const captions = (await here.caption(pictures, options)).map(({ text }) => text);
  const asked = await Promise.all([
    there.caption(pictures, options),
    there.answer(pictures[0]!, 'a cat', options),
    there.encodeImages(pictures),
  ]);
  expect(asked[0].map(({ text }) => text)).toEqual(captions);
  expect(asked[1].text).toBe((await here.answer(pictures[0]!, 'a cat', options)).text);
  const [found, expected] = [toFloat32(asked[2]), toFloat32(await here.encodeImages(pictures))];
  for (const [i, x] of found.entries()) expect(x).toBeCloseTo(expected[i]!, 3);
  await there.release();
  expect((await there.caption(pictures, options)).map(({ text }) => text)).toEqual(captions);
  await Promise.all([here.release(), there.release()]);
});

it('refuses a picture that cannot be read as ever, and goes on', async () => {
  const model = await Blip2.fromPretrained(at('packed'));
  await expect(model.caption([new Uint8Array(10)])).rejects.toThrow(/image/);
  expect(await model.caption([pictures[0]!])).toHaveLength(1);
  await model.release();
});
