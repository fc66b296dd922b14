import type { Random } from '../../core/index.ts';
import type { Box } from '../../image/index.ts';
import { drawPhrasings, tell } from './grammar.ts';
import { standApart } from './noun.ts';
import { type Arrangement, relations, rowsOf, type Scene, type SceneObject } from './scene.ts';

/** A part of a picture, its sides as shares of the picture's: [from, to]. */
export interface Cell {
  readonly x: readonly [number, number];
  readonly y: readonly [number, number];
}

/** The cell of each of a scene's objects: the picture is divided midway between its rows, and these midway between objects. */
export function cellsOf({ size, arrangement, objects }: Scene): Cell[] {
  const rows = inRows(arrangement, objects);
  const heights = divide(
    size,
    rows.map((row) => spanOf(row.flatMap(({ boxes }) => boxes.map(({ top, height }) => [top, top + height])))),
  );
  return rows.flatMap((row, i) =>
    divide(
      size,
      row.map(({ boxes }) => spanOf(boxes.map(({ left, width }) => [left, left + width]))),
    ).map((x) => ({ x, y: heights[i]! })),
  );
}

const inRows = (arrangement: Arrangement, objects: readonly SceneObject[]): SceneObject[][] =>
  rowsOf(arrangement).map((count, row, counts) => {
    const from = counts.slice(0, row).reduce((sum, n) => sum + n, 0);
    return objects.slice(from, from + count);
  });

type Span = readonly [number, number];
const spanOf = (spans: readonly Span[]): Span => [
  Math.min(...spans.map(([from]) => from)),
  Math.max(...spans.map(([, to]) => to)),
];

/** [0, 1] in parts, one for each of the spans that follow each other on `length`. */
const divide = (length: number, spans: readonly Span[]): Span[] => {
  const between = spans.slice(1).map(([from], i) => (from + spans[i]![1]) / 2 / length);
  return spans.map((_, i) => [between[i - 1] ?? 0, between[i] ?? 1]);
};

/** How far an object may reach out of its cell, or another into it, as a share of the picture's side. */
const overhang = 1 / 16;

/** Whether an object of the scene stands in the cell, and no other does. */
export function standsAlone({ size, objects }: Scene, object: SceneObject, { x, y }: Cell): boolean {
  const reach = size * overhang;
  const [left, right] = [size * x[0], size * x[1]];
  const [top, bottom] = [size * y[0], size * y[1]];
  const within = (box: Box) =>
    box.left >= left - reach &&
    box.left + box.width <= right + reach &&
    box.top >= top - reach &&
    box.top + box.height <= bottom + reach;
  const outside = (box: Box) =>
    box.left + box.width <= left + reach ||
    box.left >= right - reach ||
    box.top + box.height <= top + reach ||
    box.top >= bottom - reach;
  return objects.every((other) => other.boxes.every(other === object ? within : outside));
}

/**
 * Captions of a picture whose cells come from different scenes; they say nothing of the ground, of which each cell has its
 * own. Undefined where the objects would overlap, or their names do.
 */
export function captionsOfCells(
  random: Random,
  arrangement: Arrangement,
  objects: readonly SceneObject[],
): string[] | undefined {
  const rows = rowsOf(arrangement).flatMap((count, row) => new Array<number>(count).fill(row));
  const apart = objects.every((a, i) =>
    objects.slice(i + 1).every((b, j) => {
      const { holds } = rows[i] === rows[i + 1 + j] ? relations.left : relations.above;
      return holds(a, b) && standApart(a.noun, b.noun);
    }),
  );
  if (!apart) return undefined;
  const phrasings = drawPhrasings(random, arrangement, { captions: 5, places: true });
  return [...new Set(phrasings.map((phrasing) => tell(objects, phrasing)))];
}
