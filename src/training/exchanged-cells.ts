import { floats, type Random, random, toFloat32, type Value } from '../core/index.ts';
import { type Cell, captionsOfCells, cellsOf, type ImageTextRecord, type Scene, standsAlone } from '../data/index.ts';
import type { ImageEncoder } from '../models/index.ts';
import { patchesIn, sideOf } from './cell-patches.ts';
import type { Batch } from './training-data.ts';

export interface ExchangeOptions {
  /** The share of things that another scene's take the place of. */
  readonly rate: number;
  readonly seed: number;
}

/**
 * Scenes that exchange cells: CutMix (Yun et al., ICCV 2019) of features that are computed once, with captions that are true of
 * what comes of it. From as many scenes as were ever encoded this makes pictures that no step has seen: what stands beside a
 * thing is drawn anew every time, and says nothing of it. For batches of a frozen image encoder's features.
 */
export const exchangeCells =
  ({ prefixTokens }: Pick<ImageEncoder, 'prefixTokens'>, { rate, seed }: ExchangeOptions) =>
  (batch: Batch<ImageTextRecord>, step: number): Batch<ImageTextRecord> => {
    const imageEmbeds = batch.imageFeeds.imageEmbeds!;
    const draws = random(seed, 'cells', step);
    const places = batch.items.map(({ record: { image } }, row) =>
      image.kind === 'scene' ? placesIn(image.scene, row) : [],
    );
    const all = places.flat();
    const features = floats([...imageEmbeds.shape], toFloat32(imageEmbeds).slice());
    const items = batch.items.map((drawn, row) => {
      const { record } = drawn;
      const chosen = places[row]!.map((place) => (draws.chance(rate) ? another(place, all, draws) : place));
      if (record.image.kind !== 'scene' || chosen.every((place) => place.row === row)) return drawn;
      const objects = chosen.map(({ object }) => object);
      const captions = captionsOfCells(draws, record.image.scene.arrangement, objects);
      if (captions === undefined) return drawn;
      takeCells(features, imageEmbeds, { row, places: chosen, prefixTokens });
      const id = `${record.id} with parts of ${chosen.map((place) => batch.items[place.row]!.record.id).join(', ')}`;
      return { ...drawn, record: { ...record, id, imageId: id, captions } };
    });
    return { ...batch, items, imageFeeds: { ...batch.imageFeeds, imageEmbeds: features } };
  };

/** A thing in its cell of the picture in a row of the batch. */
interface Place {
  readonly row: number;
  readonly scene: Scene;
  readonly cell: Cell;
  readonly object: Scene['objects'][number];
}

/** Of one thing alone there is nothing to exchange. */
const placesIn = (scene: Scene, row: number): Place[] =>
  scene.objects.length < 2 ? [] : cellsOf(scene).map((cell, i) => ({ row, scene, cell, object: scene.objects[i]! }));

/** A thing that stands in this cell of another picture; the one that is here where there is none. */
function another(place: Place, places: readonly Place[], draws: Random): Place {
  const { row, cell } = place;
  const others = places.filter((other) => other.row !== row && standsAlone(other.scene, other.object, cell));
  return others.length === 0 ? place : { ...draws.pick(others), cell };
}

/** Writes the cells of `places` of `from` [B, P, D] over those of picture `row` of `to`. */
function takeCells(
  to: Value<'float32'>,
  from: Value,
  { row, places, prefixTokens }: { row: number; places: readonly Place[]; prefixTokens: number },
): void {
  const [, tokens, width] = from.shape as [number, number, number];
  const side = sideOf(tokens - prefixTokens, 'data.exchange_cells');
  const data = toFloat32(from);
  const token = (values: Float32Array, picture: number, index: number) => {
    const at = (picture * tokens + index) * width;
    return values.subarray(at, at + width);
  };
  // Tokens before the patches are of the whole picture: those of all that it is made of count.
  for (let index = 0; index < prefixTokens; index++) {
    const all = places.map((place) => token(data, place.row, index));
    token(to.data, row, index).set(all[0]!.map((_, i) => all.reduce((sum, x) => sum + x[i]!, 0) / all.length));
  }
  for (const { cell, row: picture } of places) {
    for (const patch of patchesIn(cell, side)) {
      token(to.data, row, prefixTokens + patch).set(token(data, picture, prefixTokens + patch));
    }
  }
}
