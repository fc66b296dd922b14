import { floats, type Random, random, toFloat32, UsageError, type Value } from '../core/index.ts';
import { type Cell, cellsOf, type ImageSource, type ImageTextRecord } from '../data/index.ts';
import type { ImageEncoder } from '../models/index.ts';
import { patchesIn, sideOf } from './cell-patches.ts';
import type { Drawn } from './step-images.ts';
import type { Batch, Pictures } from './training-data.ts';

export interface StyleShiftOptions {
  /** How many times the difference of two pictures a thing is moved by at most. */
  readonly strength: number;
  readonly seed: number;
}

/** What a picture's features are on average: each token before the patches, and the patches, [n + 1, D]. */
type Average = Float32Array;

/**
 * Things as if drawn otherwise: the features of each are moved by the difference of two pictures that share a caption, times a
 * number drawn from [0, strength], so that what drawing styles change about a thing tells nothing of its name. This is implicit
 * semantic data augmentation (Wang et al., NeurIPS 2019) with the differences themselves in place of their covariance, of all
 * captions together, and in the features. For batches of a frozen image encoder's features.
 */
export const styleShifts = (
  { prefixTokens }: Pick<ImageEncoder, 'prefixTokens'>,
  { strength, seed }: StyleShiftOptions,
) => {
  let groups: Promise<Average[][]> | undefined;
  return async (
    batch: Batch<ImageTextRecord>,
    step: number,
    training: Pictures<ImageTextRecord>,
  ): Promise<Batch<ImageTextRecord>> => {
    groups ??= averagesByCaption(training, prefixTokens);
    const known = await groups;
    const draws = random(seed, 'style', step);
    const imageEmbeds = batch.imageFeeds.imageEmbeds!;
    const moved = floats([...imageEmbeds.shape], toFloat32(imageEmbeds).slice());
    for (const [row, { record }] of batch.items.entries()) {
      const shifts = cellsIn(record.image).map((cell) => ({ cell, by: difference(draws, known, strength) }));
      move(moved, row, { shifts, prefixTokens });
    }
    return { ...batch, imageFeeds: { ...batch.imageFeeds, imageEmbeds: moved } };
  };
};

const whole: Cell = { x: [0, 1], y: [0, 1] };
const cellsIn = (image: ImageSource): Cell[] => (image.kind === 'scene' ? cellsOf(image.scene) : [whole]);

/** What one picture of a caption has and another has not, times a number drawn from [0, strength]. */
function difference(draws: Random, groups: readonly Average[][], strength: number): Float32Array {
  const [a, b] = draws.shuffle(draws.pick(groups)) as [Average, Average];
  const times = draws.between(0, strength);
  return a.map((x, i) => times * (x - b[i]!));
}

/** Moves the patches of each cell of picture `row`, and the tokens before them by the mean of all cells' shifts. */
function move(
  features: Value<'float32'>,
  row: number,
  { shifts, prefixTokens }: { shifts: readonly { cell: Cell; by: Float32Array }[]; prefixTokens: number },
): void {
  const [, tokens, width] = features.shape as [number, number, number];
  const side = sideOf(tokens - prefixTokens, 'data.style_shift');
  const addTo = (token: number, by: Float32Array, share = 1) => {
    const at = (row * tokens + token) * width;
    for (let i = 0; i < width; i++) features.data[at + i]! += share * by[i]!;
  };
  for (const { cell, by } of shifts) {
    for (let token = 0; token < prefixTokens; token++) {
      addTo(token, by.subarray(token * width, (token + 1) * width), 1 / shifts.length);
    }
    const ofPatches = by.subarray(prefixTokens * width);
    for (const patch of patchesIn(cell, side)) addTo(prefixTokens + patch, ofPatches);
  }
}

/** How many pictures are read at a time. */
const atOnce = 64;

/** The averages of all pictures that share a caption with another, by caption; of scenes, captions say more than one name. */
async function averagesByCaption(training: Pictures<ImageTextRecord>, prefixTokens: number): Promise<Average[][]> {
  const byCaption = new Map<string, Drawn<ImageTextRecord>[]>();
  for (const drawn of training.all()) {
    if (drawn.record.image.kind === 'scene') continue;
    const caption = drawn.record.captions[0]!.toLowerCase();
    byCaption.set(caption, [...(byCaption.get(caption) ?? []), drawn]);
  }
  const shared = [...byCaption.values()].filter((drawn) => new Set(drawn.map(({ record }) => record.imageId)).size > 1);
  if (shared.length === 0) {
    throw new UsageError('data.style_shift: expected pictures that share a caption in data.train, found none');
  }
  const pictures = shared.flat();
  const averages: Average[] = [];
  for (let from = 0; from < pictures.length; from += atOnce) {
    averages.push(...averagesOf(await training.features(pictures.slice(from, from + atOnce)), prefixTokens));
  }
  let next = 0;
  return shared.map((drawn) => drawn.map(() => averages[next++]!));
}

/** [N, n + P, D] -> N times [n + 1, D]. */
function averagesOf(features: Value, prefixTokens: number): Average[] {
  const [count, tokens, width] = features.shape as [number, number, number];
  const data = toFloat32(features);
  return Array.from({ length: count }, (_, picture) => {
    const average = new Float32Array((prefixTokens + 1) * width);
    for (let token = 0; token < tokens; token++) {
      const to = Math.min(token, prefixTokens);
      const share = to < prefixTokens ? 1 : 1 / (tokens - prefixTokens);
      const at = (picture * tokens + token) * width;
      for (let i = 0; i < width; i++) average[to * width + i]! += share * data[at + i]!;
    }
    return average;
  });
}
