import { floats, random, toFloat32, UsageError, type Value } from '../core/index.ts';
import { captionsOfHalves, type Halves, halvesOf, type ImageTextRecord } from '../data/index.ts';
import type { ImageEncoder } from '../models/index.ts';
import type { Batch } from './training-data.ts';

export interface ExchangeOptions {
  /** The share of a batch's scenes that get another's second half. */
  readonly rate: number;
  readonly seed: number;
}

/**
 * Scenes that exchange halves: CutMix (Yun et al., ICCV 2019) of features that are computed once, with captions that are true of
 * what comes of it. From as many scenes as were ever encoded this makes pictures that no step has seen: what stands beside a
 * thing is drawn anew every time, and says nothing of it.
 */
export const exchangeHalves =
  ({ prefixTokens }: Pick<ImageEncoder, 'prefixTokens'>, { rate, seed }: ExchangeOptions) =>
  (batch: Batch<ImageTextRecord>, step: number): Batch<ImageTextRecord> => {
    const { imageEmbeds } = batch.imageFeeds;
    if (imageEmbeds === undefined) {
      throw new UsageError('data.exchange_halves: expected 0, because the image encoder trains');
    }
    const draws = random(seed, 'halves', step);
    const halves = batch.items.map(({ record: { image } }) =>
      image.kind === 'scene' ? halvesOf(image.scene) : undefined,
    );
    const features = floats([...imageEmbeds.shape], toFloat32(imageEmbeds).slice());
    const items = batch.items.map((drawn, row) => {
      const own = halves[row];
      if (own === undefined || !draws.chance(rate)) return drawn;
      const alike = [...halves.keys()].filter((other) => other !== row && halves[other]?.cut === own.cut);
      if (alike.length === 0) return drawn;
      const other = draws.pick(alike);
      const captions = captionsOfHalves(draws, own, halves[other]!);
      if (captions === undefined) return drawn;
      takeSecondHalf(features, imageEmbeds, { row, other, cut: own.cut, prefixTokens });
      const { record } = drawn;
      const id = `${record.id} with half of ${batch.items[other]!.record.id}`;
      return { ...drawn, record: { ...record, id, imageId: id, captions } };
    });
    return { ...batch, items, imageFeeds: { ...batch.imageFeeds, imageEmbeds: features } };
  };

interface Exchange extends Pick<Halves, 'cut'> {
  readonly row: number;
  readonly other: number;
  /** Tokens before the patches, which are of the whole picture: both halves' count. */
  readonly prefixTokens: number;
}

/** Writes the second half of picture `other` of `from` [B, P, D] over that of picture `row` of `to`. */
function takeSecondHalf(to: Value<'float32'>, from: Value, { row, other, cut, prefixTokens }: Exchange): void {
  const [, tokens, width] = from.shape as [number, number, number];
  const side = Math.sqrt(tokens - prefixTokens);
  if (!Number.isInteger(side)) {
    throw new UsageError(`data.exchange_halves: expected patches of a square picture, found ${tokens - prefixTokens}`);
  }
  const data = toFloat32(from);
  const taken = data.subarray(other * tokens * width, (other + 1) * tokens * width);
  const kept = to.data.subarray(row * tokens * width, (row + 1) * tokens * width);
  for (let i = 0; i < prefixTokens * width; i++) kept[i] = (kept[i]! + taken[i]!) / 2;
  for (let patch = 0; patch < side * side; patch++) {
    const along = cut === 'rows' ? Math.floor(patch / side) : patch % side;
    if (along < side / 2) continue;
    const at = (prefixTokens + patch) * width;
    kept.set(taken.subarray(at, at + width), at);
  }
}
