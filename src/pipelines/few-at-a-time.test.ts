import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { writeRandomModel } from '../../test/random-model.ts';
import { toFloat32 } from '../core/index.ts';
import type { RawImage } from '../image/index.ts';
import { cachedTogether } from '../runtime/caches.ts';
import { Blip2 } from './index.ts';

// As if the caches held two of anything.
vi.mock('../runtime/caches.ts', () => ({ cachedTogether: vi.fn(() => 2) }));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-few-'));
  await writeRandomModel(folder, { language: true, quantised: true });
});
afterAll(() => rm(folder, { recursive: true }));

it('gives each of more pictures than the caches hold what it gives the picture alone', async () => {
  const model = await Blip2.fromPretrained(folder);
  const pictures = [1, 2, 3, 4, 5].map((seed): RawImage => {
    const data = Uint8Array.from({ length: 30 * 20 * 3 }, (_, i) => (i * 7 * seed + seed) % 256);
    return { width: 30, height: 20, channels: 3, data };
  });
  for (const options of [{}, { numBeams: 3, prompt: 'a red' }]) {
    const together = await model.caption(pictures, { maxNewTokens: 6, ...options });
    for (const [i, image] of pictures.entries()) {
      const [alone] = await model.caption([image], { maxNewTokens: 6, ...options });
      expect(alone!.text).toBe(together[i]!.text);
      expect(alone!.score).toBeCloseTo(together[i]!.score, 4);
    }
  }
  expect(vi.mocked(cachedTogether).mock.calls.length).toBeGreaterThan(4); // for pictures and for prompts
  const features = toFloat32(await model.encodeImages(pictures));
  const lastAlone = toFloat32(await model.encodeImages([pictures[4]!]));
  expect([...features.slice(-lastAlone.length)]).toEqual([...lastAlone]);
  await model.release();
});
