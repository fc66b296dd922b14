import { elements, floats, toFloat32, type Value } from '../core/index.ts';

/** Values [1, …] as one [N, …]. */
export function stackRows(values: readonly Value[]): Value<'float32'> {
  const [, ...rest] = values[0]!.shape;
  const data = new Float32Array(values.length * elements(rest));
  for (const [i, v] of values.entries()) data.set(toFloat32(v), i * elements(rest));
  return floats([values.length, ...rest], data);
}
