import { ShapeError } from '../../core/index.ts';
import { add, concat, expand, fixed, linearProduct, reshape, type Tensor, transpose } from '../../graph/index.ts';
import { type Interpolation, interpolatePositions } from './positions.ts';

/** Rows and columns of patches. */
export type Grid = readonly [rows: number, columns: number];

/** The grid of an image [B, C, H, W]. Throws ShapeError where the patches do not fill it. */
export function patchGrid(pixelValues: Tensor, patchSize: number): Grid {
  const [, , height, width] = pixelValues.shape;
  const rows = fixed(height, "an image's height") / patchSize;
  const columns = fixed(width, "an image's width") / patchSize;
  if (!Number.isInteger(rows) || !Number.isInteger(columns)) {
    throw new ShapeError(`an image of ${height} x ${width} is not a whole number of ${patchSize}-pixel patches`);
  }
  return [rows, columns];
}

/**
 * The convolution whose stride is its kernel: weight [D, C, p, p] on pixelValues [B, C, H, W] gives [B, h·w, D], the
 * patches row by row. Patches do not overlap, so it is one linear layer on their pixels.
 */
export function embedPatches(pixelValues: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  const [width, channels, patchSize] = weight.shape.map((d) => fixed(d, "a patch embedding's dimension"));
  const [rows, columns] = patchGrid(pixelValues, patchSize!);
  const batch = pixelValues.shape[0]!;
  const pixels = channels! * patchSize! ** 2;
  const cut = reshape(pixelValues, { shape: [batch, channels!, rows, patchSize!, columns, patchSize!] });
  const patches = transpose(cut, { perm: [0, 2, 4, 1, 3, 5] }); // [B, h, w, C, p, p]
  return linearProduct(
    reshape(patches, { shape: [batch, rows * columns, pixels] }),
    reshape(weight, { shape: [width!, pixels] }),
    bias,
  );
}

export interface Sequence {
  /** [B, h·w, D] */
  patches: Tensor;
  grid: Grid;
  /** The class token, any shape of D elements. */
  classToken: Tensor;
  /** The position table [1 + s·s, D], class token first, learned on a square grid; any shape of as many elements. */
  positions: Tensor;
}

/** The class token before the patches, positions added: [B, 1 + h·w, D]. */
export function embedSequence({ patches, grid, classToken, positions }: Sequence, options?: Interpolation): Tensor {
  const [batch, , width] = patches.shape;
  const token = expand(reshape(classToken, { shape: [1, 1, width!] }), { shape: [batch!, 1, width!] });
  return add(concat([token, patches], { axis: 1 }), interpolatePositions(positions, grid, options));
}
