import { ShapeError } from '../../core/index.ts';
import { concat, fixed, reduceMean, reshape, slice, type Tensor } from '../../graph/index.ts';
import type { Grid } from './positions.ts';

interface Pooling {
  /** Patches along each side of the square that becomes one. */
  factor: number;
  /** The patches' grid; a square by default. */
  grid?: Grid;
}

/** P and Dv of the features of one image: a class token, and patches averaged in squares of `pooling` x `pooling`. */
export function featureShape(
  { patchSize, width }: { patchSize: number; width: number },
  { size, pooling }: { size: { width: number; height: number }; pooling: number },
): { patches: number; width: number } {
  const [rows, columns] = [size.height, size.width].map((side) => Math.floor(side / patchSize / pooling));
  return { patches: 1 + rows! * columns!, width };
}

/**
 * Fewer image tokens for the Q-Former to read: imageEmbeds [B, 1 + h·w, D] with the patches averaged in squares of
 * factor x factor: [B, 1 + h·w / factor², D]. The class token stays first. Throws ShapeError where the squares do not fill
 * the grid.
 */
export function poolPatches(imageEmbeds: Tensor, { factor, grid }: Pooling): Tensor {
  const [batch, length, width] = imageEmbeds.shape;
  const patches = fixed(length, 'the number of image tokens') - 1;
  const [rows, columns] = grid ?? [Math.sqrt(patches), Math.sqrt(patches)];
  if (rows * columns !== patches || rows % factor !== 0 || columns % factor !== 0) {
    throw new ShapeError(`${patches} patches in ${rows} rows cannot be pooled ${factor} x ${factor}`);
  }
  const [h, w] = [rows / factor, columns / factor];
  const squares = reshape(slice(imageEmbeds, { axis: 1, start: 1 }), {
    shape: [batch!, h, factor, w, factor, width!],
  });
  const pooled = reduceMean(squares, { axes: [2, 4], keepDims: false }); // [B, h/f, w/f, D]
  const classToken = slice(imageEmbeds, { axis: 1, end: 1 });
  return concat([classToken, reshape(pooled, { shape: [batch!, h * w, width!] })], { axis: 1 });
}
