import { ShapeError } from '../../core/index.ts';
import { concat, fixed, reduceMean, reshape, slice, type Tensor } from '../../graph/index.ts';
import type { VisionSizes } from '../contracts.ts';
import type { Grid } from './positions.ts';

interface Pooling {
  /** Patches along each side of the square that becomes one. */
  factor: number;
  /** Tokens before the patches. */
  prefixTokens: number;
  /** The patches' grid; a square by default. */
  grid?: Grid;
}

/** P and Dv of the features of one image: what stands before its patches, and these averaged in squares of `pooling` x `pooling`. */
export function featureShape(
  { patchSize, width, prefixTokens }: Pick<VisionSizes, 'patchSize' | 'width' | 'prefixTokens'>,
  { size, pooling }: { size: { width: number; height: number }; pooling: number },
): { patches: number; width: number } {
  const [rows, columns] = [size.height, size.width].map((side) => Math.floor(side / patchSize / pooling));
  return { patches: prefixTokens + rows! * columns!, width };
}

/**
 * Fewer image tokens for the Q-Former to read: imageEmbeds [B, n + h·w, D] with the patches averaged in squares of
 * factor x factor: [B, n + h·w / factor², D]. What stands before them stays. Throws ShapeError where the squares do not
 * fill the grid.
 */
export function poolPatches(imageEmbeds: Tensor, { factor, prefixTokens, grid }: Pooling): Tensor {
  const [batch, length, width] = imageEmbeds.shape;
  const patches = fixed(length, 'the number of image tokens') - prefixTokens;
  const [rows, columns] = grid ?? [Math.sqrt(patches), Math.sqrt(patches)];
  if (rows * columns !== patches || rows % factor !== 0 || columns % factor !== 0) {
    const found = `${patches} patches in ${rows} rows, which squares of ${factor} x ${factor} do not fill`;
    throw new ShapeError(
      `image_feature_pooling: expected a divisor of the rows and columns of patches, found ${found}`,
    );
  }
  const [h, w] = [rows / factor, columns / factor];
  const squares = reshape(slice(imageEmbeds, { axis: 1, start: prefixTokens }), {
    shape: [batch!, h, factor, w, factor, width!],
  });
  const averages = reduceMean(squares, { axes: [2, 4], keepDims: false }); // [B, h/f, w/f, D]
  const pooled = reshape(averages, { shape: [batch!, h * w, width!] });
  return prefixTokens === 0
    ? pooled
    : concat([slice(imageEmbeds, { axis: 1, end: prefixTokens }), pooled], { axis: 1 });
}
