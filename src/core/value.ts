import { type DType, dtypes, type TypedArrayOf } from './dtype.ts';
import { DataError, ShapeError } from './errors.ts';
import { bfloatToFloat, halfToFloat } from './half.ts';

/** Numbers with a type and a shape: what goes into a graph and what comes out. Row-major. */
export interface Value<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: readonly number[];
  readonly data: TypedArrayOf<D>;
}

/** The number of elements of a shape without symbols. */
export const elements = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);

/** A value over existing data, which is not copied. Throws ShapeError where the lengths differ. */
export function value<D extends DType>(dtype: D, shape: readonly number[], data: TypedArrayOf<D>): Value<D> {
  if (data.length !== elements(shape)) {
    throw new ShapeError(`value: shape [${shape}] holds ${elements(shape)} elements, the data ${data.length}`);
  }
  return { dtype, shape, data };
}

/** float32 from any list of numbers. */
export const floats = (shape: readonly number[], data: ArrayLike<number>): Value<'float32'> =>
  value('float32', shape, data instanceof Float32Array ? data : Float32Array.from(data));

/** int64 from any list of whole numbers. */
export const int64s = (shape: readonly number[], data: ArrayLike<number>): Value<'int64'> =>
  value('int64', shape, BigInt64Array.from(Array.from(data, BigInt)));

/** Any numeric value as float32; float32 itself is returned without a copy. */
export function toFloat32(v: Value): Float32Array {
  const { data } = v;
  if (data instanceof Float32Array) return data;
  if (data instanceof BigInt64Array) return Float32Array.from(data, Number);
  if (v.dtype === 'float16') return halfToFloat(data as Uint16Array);
  if (v.dtype === 'bfloat16') return bfloatToFloat(data as Uint16Array);
  return Float32Array.from(data);
}

/** Any whole-number value as ordinary numbers. */
export function toNumbers(v: Value): number[] {
  if (v.dtype === 'float16' || v.dtype === 'bfloat16') return Array.from(toFloat32(v));
  return Array.from(v.data as ArrayLike<number | bigint>, Number);
}

/** A view of bytes as the typed array of `dtype`, copied only where the alignment asks for it. */
export function fromBytes<D extends DType>(dtype: D, bytes: Uint8Array): TypedArrayOf<D> {
  const { array, bytes: size } = dtypes[dtype];
  if (bytes.byteLength % size !== 0) {
    throw new DataError(`${bytes.byteLength} bytes are not a whole number of ${dtype} elements`);
  }
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  return new array(aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / size) as TypedArrayOf<D>;
}

/** The bytes of a value, not copied. */
const bytesOf = ({ data }: Value): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** Rows of a value [N, …] along its first axis, in this order, repeated if they are asked for twice. */
export function takeRows<D extends DType>(v: Value<D>, rows: readonly number[]): Value<D> {
  const [, ...rest] = v.shape;
  const [from, width] = [bytesOf(v), elements(rest) * dtypes[v.dtype].bytes];
  const bytes = new Uint8Array(rows.length * width);
  for (const [i, row] of rows.entries()) bytes.set(from.subarray(row * width, (row + 1) * width), i * width);
  return value(v.dtype, [rows.length, ...rest], fromBytes(v.dtype, bytes));
}

/** Rows of a value [N, …], from `start`: the same memory, or its end where there are fewer. */
export function viewRows<D extends DType>({ dtype, shape, data }: Value<D>, start: number, count: number): Value<D> {
  const [rows, ...rest] = shape;
  const width = elements(rest);
  const end = Math.min(start + count, rows!);
  return value(dtype, [end - start, ...rest], data.subarray(start * width, end * width) as TypedArrayOf<D>);
}

/** Adds rows [n, …] to those of `sums` [N, …] in these places, which may repeat. */
export function addRows(sums: Value<'float32'>, rows: readonly number[], added: Value): void {
  const width = elements(sums.shape.slice(1));
  const from = toFloat32(added);
  for (const [i, row] of rows.entries()) {
    for (let j = 0; j < width; j++) sums.data[row * width + j]! += from[i * width + j]!;
  }
}

/** Values [n, …] of one type and width as one value, one after the other along their first axis; at least one. */
export function joinRows<D extends DType>(values: readonly Value<D>[]): Value<D> {
  const [first] = values;
  const [, ...rest] = first!.shape;
  const bytes = new Uint8Array(values.reduce((sum, { data }) => sum + data.byteLength, 0));
  let at = 0;
  for (const v of values) {
    bytes.set(bytesOf(v), at);
    at += v.data.byteLength;
  }
  return value(
    first!.dtype,
    [values.reduce((sum, { shape }) => sum + shape[0]!, 0), ...rest],
    fromBytes(first!.dtype, bytes),
  );
}

/** A matrix, row-major, with each row multiplied by its factor: what int8 levels and their scales stand for. */
export function multiplyRows(matrix: Float32Array, factors: Float32Array): Float32Array {
  const width = matrix.length / factors.length;
  return matrix.map((x, i) => x * factors[Math.floor(i / width)]!);
}

/** A value over a copy of the data. */
export const copyOf = <D extends DType>({ dtype, shape, data }: Value<D>): Value<D> =>
  value(dtype, shape, data.slice() as TypedArrayOf<D>);
