import { UsageError } from '../core/index.ts';
import type { Cell } from '../data/index.ts';

/** How many patches are along a side of a square picture of so many. Throws UsageError naming the recipe's key otherwise. */
export function sideOf(patches: number, key: string): number {
  const side = Math.sqrt(patches);
  if (Number.isInteger(side)) return side;
  throw new UsageError(`${key}: expected patches of a square picture, found ${patches}`);
}

/** The patches of a square picture whose middle is in the cell, row by row. */
export const patchesIn = ({ x, y }: Cell, side: number): number[] =>
  Array.from({ length: side * side }, (_, patch) => patch).filter((patch) => {
    const [column, row] = [((patch % side) + 0.5) / side, (Math.floor(patch / side) + 0.5) / side];
    return column >= x[0] && column < x[1] && row >= y[0] && row < y[1];
  });
