import { floats, joinRows, UsageError, type Value, viewRows } from '../core/index.ts';

export interface ViewOptions {
  /**
   * So many views of each image are looked at, as it is and moved by half a patch, and what is written is likely by the
   * geometric mean of what they say. Takes as many times the work. Default: 1; at most 4.
   */
  readonly views?: number | undefined;
}

/** Where a picture stands in its views, in halves of a patch to the right and down: each cuts it into other patches. */
const moves = [
  [0, 0],
  [1, 1],
  [1, 0],
  [0, 1],
] as const;

export const mostViews = moves.length;

/** Throws UsageError where there are not so many views of a picture. */
export function checkViews(views: number): void {
  if (Number.isInteger(views) && views >= 1 && views <= mostViews) return;
  throw new UsageError(`views: expected a whole number from 1 to ${mostViews}, found ${views}`);
}

/**
 * Pictures as they are, and moved by half a patch: pixelValues [B, 3, H, W] to [B · views, 3, H, W], all views of the first
 * picture before those of the next. What an edge leaves free, its pixels fill. (That a model says of several such views
 * is better than what it says of one: Krizhevsky et al., NeurIPS 2012, §4.1.)
 */
export function viewsOf(
  pixelValues: Value<'float32'>,
  { views, patchSize }: { views: number; patchSize: number },
): Value<'float32'> {
  if (views === 1) return pixelValues;
  const [batch, channels, height, width] = pixelValues.shape as [number, number, number, number];
  const half = Math.floor(patchSize / 2);
  const data = new Float32Array(views * pixelValues.data.length);
  let at = 0;
  for (let picture = 0; picture < batch; picture++) {
    for (const [right, down] of moves.slice(0, views)) {
      for (let channel = 0; channel < channels; channel++) {
        const plane = (picture * channels + channel) * height * width;
        for (let y = 0; y < height; y++) {
          const start = plane + Math.max(0, y - down * half) * width;
          const row = pixelValues.data.subarray(start, start + width - right * half);
          data.fill(row[0]!, at, at + right * half);
          data.set(row, at + right * half);
          at += width;
        }
      }
    }
  }
  return floats([batch * views, channels, height, width], data);
}

/** Features of so many views of each picture, as they were given. Throws UsageError where they cannot be. */
export function checkFeatures(imageEmbeds: Value<'float32'>, views: number): Value<'float32'> {
  const [rows] = imageEmbeds.shape;
  if (rows! % views === 0) return imageEmbeds;
  throw new UsageError(
    `imageEmbeds: expected ${views} views of each picture, as encodeImages gives them, found ${rows} rows`,
  );
}

/** Of the features of views [B · views, P, Dv], those of the pictures as they are: [B, P, Dv]. */
export function firstViews(features: Value<'float32'>, views: number): Value<'float32'> {
  const pictures = features.shape[0]! / views;
  return views === 1
    ? features
    : joinRows(Array.from({ length: pictures }, (_, i) => viewRows(features, i * views, 1)));
}
