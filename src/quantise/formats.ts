import type { Value } from '../core/index.ts';
import { matMulNBits, type Tensor, type TensorType } from '../graph/index.ts';
import {
  blockOf,
  finer,
  int4Scales,
  int8Scales,
  type Parts,
  packInt4,
  packInt8,
  packInt8Blocks,
  packInt16,
  roundingError,
} from './pack.ts';
import { type Format, isPrecise, type LinearWeight, type RowFormat } from './policy.ts';
import { int16Product, preciseProduct, roundedProduct } from './products.ts';

/** All that one way of keeping a linear layer's weight consists of. */
interface FormatRule {
  /** The types of its two tensors. */
  types(layer: LinearWeight): Parts<TensorType>;
  /** The scales of a weight [out, width], in the order of its rows. */
  scales(weight: Float32Array, layer: LinearWeight): Float32Array;
  /** What weights are rounded to multiples of, in scales. Default: 1. */
  readonly step?: number;
  /** The weight in units of its scales. */
  pack(weight: Float32Array, scales: Float32Array, layer: LinearWeight): Value;
  /** x [N, width] times the weight, transposed: [N, out]. */
  product(x: Tensor, parts: Parts<Tensor>, layer: LinearWeight): Tensor;
}

/** A scale for each channel, and the bytes in the order in which a product with many rows reads them. */
const columns: Omit<FormatRule, 'product'> = {
  types: ({ out, width }) => ({
    weight: { dtype: 'int8', shape: [width, out] },
    scale: { dtype: 'float32', shape: [out] },
  }),
  scales: (weight, { out }) => int8Scales(weight, out),
  pack: (weight, scales) => packInt8(weight, scales),
};

export const formats: Readonly<Record<Format, FormatRule>> = {
  int16: {
    types: ({ out, width }) => ({
      weight: { dtype: 'int8', shape: [width, 2 * out] },
      scale: { dtype: 'float32', shape: [out] },
    }),
    scales: columns.scales,
    step: finer,
    pack: (weight, scales) => packInt16(weight, scales),
    product: int16Product,
  },
  int8: {
    ...columns,
    product: (x, parts, layer) => (isPrecise(layer) ? preciseProduct(x, parts) : roundedProduct(x, parts)),
  },
  int8_blocks: {
    types: (layer) => typesInBlocks(layer, 8),
    scales: (weight, { width }) => int8Scales(weight, weight.length / requireBlock(width)),
    pack: (weight, scales, { out }) => packInt8Blocks(weight, scales, out),
    product: (x, { weight, scale }) => matMulNBits(x, weight, scale, { bits: 8 }),
  },
  int8_columns: { ...columns, product: roundedProduct },
  int4: {
    types: (layer) => typesInBlocks(layer, 4),
    scales: (weight, { width }) => int4Scales(weight, requireBlock(width)),
    pack: (weight, scales, { out }) => packInt4(weight, scales, out),
    product: (x, { weight, scale }) => matMulNBits(x, weight, scale, { bits: 4 }),
  },
};

/** What MatMulNBits reads: the weights of each block in bytes, and its scale. */
function typesInBlocks({ out, width }: LinearWeight, bits: 4 | 8): Parts<TensorType> {
  const block = requireBlock(width);
  return {
    weight: { dtype: 'uint8', shape: [out, width / block, (block * bits) / 8] },
    scale: { dtype: 'float32', shape: [out, width / block] },
  };
}

/** How far a weight is moved by a format: see `roundingError`. */
export function formatError(format: Exclude<Format, RowFormat>, weight: Float32Array, layer: LinearWeight): number {
  const { scales, step = 1 } = formats[format];
  const steps = scales(weight, layer).map((scale) => scale * step);
  return roundingError(weight, steps, layer.width);
}

/** The names of a weight's tensors in a state dict, beside the names of those that are kept as they are. */
export const partNames = (weight: string, format: Format): Parts<string> => ({
  weight: `${weight}.${format}`,
  scale: `${weight}.${format}_scale`,
});

function requireBlock(width: number): number {
  const block = blockOf(width);
  if (block === undefined) throw new TypeError(`rows of ${width} weights cannot be cut into blocks`);
  return block;
}
