import { expect, it } from 'vitest';
import { floats, toNumbers } from '../core/index.ts';
import { input } from '../graph/index.ts';
import { poolPatches } from '../models/index.ts';
import { Params } from '../nn/index.ts';
import { compile } from '../runtime/index.ts';
import { PatchDropout } from './patch-dropout.ts';
import { type StepImages, withPatchDropout } from './step-images.ts';

/** Two pictures of a class token and four patches, each feature a pair: its picture's number and its own. */
const [batch, features] = [2, 5];
const numbered: StepImages<number> = {
  embeds: () => input('imageEmbeds', 'float32', [batch, features, 2]),
  initial: async () => new Map(),
  load: async () => 0,
  feeds: async (pictures) => ({
    imageEmbeds: floats(
      [batch, features, 2],
      pictures.flatMap((picture) => Array.from({ length: features }, (_, feature) => [picture, feature]).flat()),
    ),
  }),
  close: async () => {},
};

const images = withPatchDropout(
  numbered,
  new PatchDropout({ rate: 0.5, seed: 3, prefixTokens: 1, grid: [2, 2], side: 1 }),
);

/** What a step reads of its pictures: for each, the features by number. */
async function read(step: number): Promise<number[][]> {
  const session = await compile({ seen: images.embeds(new Params(), batch) });
  const { seen } = await session.run(await images.feeds([7, 8], step));
  expect(seen.shape).toEqual([batch, 3, 2]);
  const pairs = toNumbers(seen);
  expect(pairs.filter((_, i) => i % 2 === 0)).toEqual([7, 7, 7, 8, 8, 8]);
  const numbers = pairs.filter((_, i) => i % 2 === 1);
  return [numbers.slice(0, 3), numbers.slice(3)];
}

it('keeps the class token and a random part of the patches, for each picture another', async () => {
  const steps = await Promise.all(Array.from({ length: 20 }, (_, step) => read(step)));
  for (const [first, ...patches] of steps.flat()) {
    expect(first).toBe(0);
    expect(new Set(patches).size).toBe(2);
  }
  expect(new Set(steps.flat(2))).toEqual(new Set([0, 1, 2, 3, 4]));
  expect(steps.some(([one, other]) => `${one}` !== `${other}`)).toBe(true);
});

it('draws by the seed and the step alone', async () => {
  expect(await read(4)).toEqual(await read(4));
  expect(await read(4)).not.toEqual(await read(5));
});

it.each([0, 1, 3])(
  'keeps whole squares where they are pooled later, from any grid, after %i tokens',
  async (prefixTokens) => {
    const [rows, columns, side] = [2, 3, 2];
    const dropout = new PatchDropout({ rate: 0.5, seed: 3, prefixTokens, grid: [rows, columns], side });
    const tokens = prefixTokens + rows * columns * side ** 2;
    const all = input('all', 'float32', [batch, tokens, 1]);
    const kept = dropout.keep(all);
    const session = await compile({
      ofAll: poolPatches(all, { factor: side, prefixTokens, grid: [rows * side, columns * side] }),
      ofKept: poolPatches(kept, {
        factor: side,
        prefixTokens,
        grid: [((kept.shape[1] as number) - prefixTokens) / side, side],
      }),
    });
    // Powers of two: no two squares have the same mean.
    const powers = Array.from({ length: batch * tokens }, (_, i) => 2 ** (i % tokens));
    const seen = await session.run({ all: floats([batch, tokens, 1], powers), ...dropout.feeds(0, batch) });
    const ofFirst = toNumbers(seen.ofAll).slice(0, prefixTokens + rows * columns);
    const [before, squares] = [ofFirst.slice(0, prefixTokens), ofFirst.slice(prefixTokens)];
    const found = toNumbers(seen.ofKept);
    for (const own of [found.slice(0, found.length / 2), found.slice(found.length / 2)]) {
      const patches = own.slice(prefixTokens);
      expect(own.slice(0, prefixTokens)).toEqual(before);
      expect(new Set(patches).size).toBe(3);
      for (const patch of patches) expect(squares).toContain(patch);
    }
  },
);

it('leaves at least one patch', () => {
  const dropout = new PatchDropout({ rate: 0.9, seed: 3, prefixTokens: 0, grid: [2, 2], side: 1 });
  expect(dropout.feeds(0, 3).keptTokens?.shape).toEqual([3]);
});
