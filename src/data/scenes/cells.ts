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

const [whole, first, second] = [
  [0, 1],
  [0, 0.5],
  [0.5, 1],
] as const;
const cells = {
  left: { x: first, y: whole },
  right: { x: second, y: whole },
  top: { x: whole, y: first },
  bottom: { x: whole, y: second },
  topLeft: { x: first, y: first },
  topRight: { x: second, y: first },
  bottomLeft: { x: first, y: second },
  bottomRight: { x: second, y: second },
} as const satisfies Record<string, Cell>;

/** The halves and quarters of the picture that an arrangement's objects stand in, in reading order. */
const cellsIn: Readonly<Partial<Record<Arrangement, readonly Cell[]>>> = {
  '2': [cells.left, cells.right],
  '1+1': [cells.top, cells.bottom],
  '1+2': [cells.top, cells.bottomLeft, cells.bottomRight],
  '2+1': [cells.topLeft, cells.topRight, cells.bottom],
  '2+2': [cells.topLeft, cells.topRight, cells.bottomLeft, cells.bottomRight],
};

/** How far an object may reach out of its cell, as a share of the picture's side. */
const overhang = 1 / 16;

/** The cell of each of a scene's objects; undefined where halves and quarters do not hold one each. */
export function cellsOf({ size, arrangement, objects }: Scene): readonly Cell[] | undefined {
  const found = cellsIn[arrangement];
  const holds = ({ x, y }: Cell, box: Box) =>
    box.left >= size * (x[0] - overhang) &&
    box.left + box.width <= size * (x[1] + overhang) &&
    box.top >= size * (y[0] - overhang) &&
    box.top + box.height <= size * (y[1] + overhang);
  return found && objects.every(({ boxes }, i) => boxes.every((box) => holds(found[i]!, box))) ? found : undefined;
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
