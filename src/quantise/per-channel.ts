/**
 * A weight matrix [out, in] as int8 with one scale per output channel: weight ≈ int8 · scale. Symmetric, so that zero
 * stays zero; a channel of zeros has scale 1.
 */
export function quantisePerChannel(weight: Float32Array, out: number): { int8: Int8Array; scales: Float32Array } {
  const width = weight.length / out;
  const int8 = new Int8Array(weight.length);
  const scales = new Float32Array(out);
  for (let row = 0; row < out; row++) {
    const channel = weight.subarray(row * width, (row + 1) * width);
    const largest = channel.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
    const scale = Math.fround(largest / 127) || 1;
    scales[row] = scale;
    for (let i = 0; i < width; i++) int8[row * width + i] = Math.round(channel[i]! / scale);
  }
  return { int8, scales };
}
