import { elements, ShapeError } from '../../core/index.ts';
import { add, concat, expand, fixed, linearProduct, reshape, type Tensor, transpose } from '../../graph/index.ts';
import type { Interpolation } from '../contracts.ts';
import { type Grid, interpolatePositions } from './positions.ts';

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
function embedPatches(pixelValues: Tensor, weight: Tensor, bias: Tensor | undefined): Tensor {
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

/** What an image's tokens are made of. */
interface ImageEmbeddings {
  /** The patches' convolution: weight [D, C, p, p] and bias [D]. */
  weight: Tensor;
  bias?: Tensor;
  /** D elements, in any shape. */
  classToken?: Tensor;
  /** Of the class token, where there is one, and a square grid, row by row: [.., 1 + s·s, D]. */
  positions: Tensor;
}

/**
 * The class token, then the patches of pixelValues [B, C, H, W], with their positions: [B, 1 + h·w, D], or without a class
 * token [B, h·w, D]. Positions are interpolated where the image's grid is not the table's.
 */
export function embedImage(
  pixelValues: Tensor,
  { weight, bias, classToken, positions }: ImageEmbeddings,
  options?: Interpolation,
): Tensor {
  const patches = embedPatches(pixelValues, weight, bias);
  const grid = patchGrid(pixelValues, fixed(weight.shape[2], 'the patch size'));
  const tokens = classToken ? concat([everyImage(classToken, patches), patches], { axis: 1 }) : patches;
  return add(tokens, interpolatePositions(positions, grid, { ...options, classToken: classToken !== undefined }));
}

/** Tokens that every image has, n·D elements in any shape, for as many images as there are rows in `like`: [B, n, D]. */
export function everyImage(tokens: Tensor, like: Tensor): Tensor {
  const [batch, , width] = like.shape;
  const count = elements(tokens.shape.map((d) => fixed(d, 'a token'))) / fixed(width, "the tokens' width");
  return expand(reshape(tokens, { shape: [1, count, width!] }), { shape: [batch!, count, width!] });
}
