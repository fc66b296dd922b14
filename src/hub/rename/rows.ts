import { type DType, dtypes, elements, fromBytes, type Value, value } from '../../core/index.ts';

const bytesOf = ({ data }: Value): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** Zeros of a dtype and shape. */
export const zeros = (dtype: DType, shape: readonly number[]): Value =>
  value(dtype, shape, fromBytes(dtype, new Uint8Array(elements(shape) * dtypes[dtype].bytes)));

/** Values of one dtype, joined along their first axis. */
export function concatRows(parts: readonly [Value, ...Value[]]): Value {
  const [{ dtype, shape }] = parts;
  const rows = parts.reduce((sum, part) => sum + part.shape[0]!, 0);
  return value(dtype, [rows, ...shape.slice(1)], fromBytes(dtype, new Uint8Array(Buffer.concat(parts.map(bytesOf)))));
}

/** The equal thirds of a value along its first axis, copied: of a fused query, key and value projection. */
export function splitThirds(whole: Value): [Value, Value, Value] {
  const { dtype, shape } = whole;
  const bytes = bytesOf(whole);
  const third = (i: number) => {
    const part = bytes.slice((i * bytes.length) / 3, ((i + 1) * bytes.length) / 3);
    return value(dtype, [shape[0]! / 3, ...shape.slice(1)], fromBytes(dtype, part));
  };
  return [third(0), third(1), third(2)];
}
