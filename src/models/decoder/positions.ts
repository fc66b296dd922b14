import { type Dim, type DType, subDims } from '../../core/index.ts';
import {
  and,
  cumSum,
  equal,
  expand,
  lessOrEqual,
  mul,
  numbers,
  reshape,
  slice,
  sub,
  type Tensor,
  unsqueeze,
  where,
} from '../../graph/index.ts';

/** Far below any score, far above −∞: a row that sees nothing stays finite. */
const hidden = -1e9;

/** 0, 1, …, length − 1: int64 [length]. */
export function range(length: Dim): Tensor {
  if (typeof length === 'number') return numbers([...Array(length).keys()], 'int64');
  return sub(cumSum(expand(numbers([1], 'int64'), { shape: [length] }), { axis: 0 }), 1);
}

/** The last `length` entries along axis 1: what belongs to the new positions. */
export function lastOf(x: Tensor, length: Dim): Tensor {
  return slice(x, { axis: 1, start: subDims(x.shape[1]!, length) });
}

/** The additive mask [B, 1, 1, S] that hides padding: attentionMask int64 [B, S], 1 = keep. */
export const paddingMask = (attentionMask: Tensor, dtype: DType): Tensor => additive(isKept(attentionMask), dtype);

/** The additive mask [B, 1, T, past + T] of T new positions: see `DecoderInputs.attentionMask`. */
export function causalMask(attentionMask: Tensor, length: Dim, dtype: DType): Tensor {
  if (attentionMask.shape.length === 3) return additive(equal(unsqueeze(attentionMask, { axis: 1 }), 1), dtype);
  const seen = attentionMask.shape[1]!;
  const slots = reshape(range(seen), { shape: [1, seen] });
  const upToItself = lessOrEqual(slots, reshape(lastOf(slots, length), { shape: [length, 1] })); // [T, past + T]
  return additive(and(isKept(attentionMask), reshape(upToItself, { shape: [1, 1, length, seen] })), dtype);
}

/** bool [B, 1, 1, S]. */
function isKept(attentionMask: Tensor): Tensor {
  const [batch, seen] = attentionMask.shape as [Dim, Dim];
  return equal(reshape(attentionMask, { shape: [batch, 1, 1, seen] }), 1);
}

const additive = (visible: Tensor, dtype: DType): Tensor => where(visible, numbers(0, dtype), numbers(hidden, dtype));

/**
 * The position of every slot of attentionMask, int64 of its shape, when only what it keeps counts; −1 for what it does
 * not. Of what each position sees, [B, T, past + T], each has a count of its own.
 */
export const countedPositions = (attentionMask: Tensor): Tensor =>
  sub(mul(cumSum(attentionMask, { axis: attentionMask.shape.length - 1 }), attentionMask), 1);

/** 0 … T − 1 for every row, padding counted: int64 [1, T]. */
export const plainPositions = (length: Dim): Tensor => reshape(range(length), { shape: [1, length] });
