import { int8Scales } from './pack.ts';

/**
 * A weight matrix [out, in] as int8 with one scale per output channel: weight ≈ int8 · scale. Symmetric, so that zero
 * stays zero; a channel of zeros has scale 1.
 */
export function quantisePerChannel(weight: Float32Array, out: number): { int8: Int8Array; scales: Float32Array } {
  const width = weight.length / out;
  const scales = int8Scales(weight, out);
  const int8 = new Int8Array(weight.length);
  for (let row = 0; row < out; row++) {
    for (let i = row * width; i < (row + 1) * width; i++) int8[i] = Math.round(weight[i]! / scales[row]!);
  }
  return { int8, scales };
}
