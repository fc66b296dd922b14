import type { Random } from '../../core/index.ts';
import type { Box } from '../../image/index.ts';
import { type Arrangement, rowsOf } from './scene.ts';

/**
 * Boxes for a scene's objects: `counts[i]` copies of object i, in reading order. Every object has a cell of its own in
 * the arrangement's grid, so that boxes never overlap and what is left of, or above, another is so with all its copies.
 */
export function layOut(random: Random, arrangement: Arrangement, options: { counts: number[]; size: number }): Box[][] {
  const { counts, size } = options;
  const rows = rowsOf(arrangement);
  const heights = split(random, size, Array(rows.length).fill(1));
  // All objects share where their cells' free space goes: a row stays a row, and a column a column.
  const slack = { x: random.uniform(), y: random.uniform() };
  const boxes: Box[][] = [];
  let top = 0;
  for (const [row, objects] of rows.entries()) {
    const rowCounts = counts.slice(boxes.length, boxes.length + objects);
    let left = 0;
    for (const [column, width] of split(random, size, rowCounts.map(Math.sqrt)).entries()) {
      const cell = { left, top, width, height: heights[row]! };
      boxes.push(fillCell(random, cell, { count: rowCounts[column]!, slack }));
      left += width;
    }
    top += heights[row]!;
  }
  return boxes;
}

/** The length in parts by weight, each weight varied a little. */
function split(random: Random, length: number, weights: readonly number[]): number[] {
  const varied = weights.map((weight) => weight * random.between(0.9, 1.1));
  const total = varied.reduce((sum, weight) => sum + weight, 0);
  return varied.map((weight) => Math.floor((length * weight) / total));
}

interface Filling {
  readonly count: number;
  readonly slack: { readonly x: number; readonly y: number };
}

/** Equal squares for the copies, on the grid that lets them be largest, each moved a little within its share. */
function fillCell(random: Random, cell: Box, { count, slack }: Filling): Box[] {
  const columns = [1, 2, 3, 4].reduce(
    (best, n) => (pitchOf(cell, count, n) > pitchOf(cell, count, best) ? n : best),
    1,
  );
  const pitch = pitchOf(cell, count, columns);
  // Copies are equal, and large enough to be told apart.
  const side = Math.floor(pitch * random.between(0.7, 0.95));
  const left = cell.left + slack.x * (cell.width - pitch * columns);
  const top = cell.top + slack.y * (cell.height - pitch * Math.ceil(count / columns));
  return Array.from({ length: count }, (_, i) => ({
    left: Math.floor(left + (i % columns) * pitch + random.uniform() * (pitch - side)),
    top: Math.floor(top + Math.floor(i / columns) * pitch + random.uniform() * (pitch - side)),
    width: side,
    height: side,
  }));
}

/** The side of the largest square of which `count` fit into the cell, in `columns` columns. */
const pitchOf = (cell: Box, count: number, columns: number): number =>
  Math.min(cell.width / columns, cell.height / Math.ceil(count / columns));
