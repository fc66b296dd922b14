import { type Value, value } from '../core/index.ts';

/** The two tensors that a weight is kept as. */
export interface Parts<T> {
  readonly weight: T;
  readonly scale: T;
}

/** The scale of each of so many equal parts of a weight in int8: its largest is 127 scales. A part of zeros has 1. */
export function int8Scales(weight: Float32Array, parts: number): Float32Array {
  const width = weight.length / parts;
  const scales = new Float32Array(parts);
  for (let row = 0; row < parts; row++) {
    let largest = 0;
    for (let i = row * width; i < (row + 1) * width; i++) {
      const size = Math.abs(weight[i]!);
      if (size > largest) largest = size;
    }
    scales[row] = Math.fround(largest / 127) || 1;
  }
  return scales;
}

/** So many rows are transposed together: what is written for them is then side by side. */
const strip = 64;

/** A weight [out, in] in int8, transposed: [in, out] is the order in which ONNX Runtime reads it. */
export function packInt8(weight: Float32Array, scales: Float32Array): Value {
  const out = scales.length;
  const width = weight.length / out;
  const columns = new Int8Array(weight.length);
  for (let start = 0; start < out; start += strip) {
    const end = Math.min(out, start + strip);
    for (let i = 0; i < width; i++) {
      for (let row = start; row < end; row++) {
        columns[i * out + row] = Math.round(weight[row * width + i]! / scales[row]!);
      }
    }
  }
  return value('int8', [width, out], columns);
}

/** The step, in scales, of what is left after rounding to bytes: that is half a scale at most, and 127 steps. */
export const finer = 1 / 254;

/**
 * A weight [out, in] in 16 bits, transposed: [in, 2·out], the columns of `packInt8` and those of what it left, in units of
 * `finer` scales.
 */
export function packInt16(weight: Float32Array, scales: Float32Array): Value {
  const width = weight.length / scales.length;
  const rest = weight.map((w, i) => {
    const scale = scales[Math.floor(i / width)]!;
    return w - Math.round(w / scale) * scale;
  });
  const both = new Float32Array(2 * weight.length);
  both.set(weight);
  both.set(rest, weight.length);
  const steps = new Float32Array(2 * scales.length);
  steps.set(scales);
  steps.set(
    scales.map((scale) => scale * finer),
    scales.length,
  );
  return packInt8(both, steps);
}

/** The longest block of weights under one scale: shorter ones err less, longer ones are read faster. */
const longestBlock = 128;

/** The block length for rows of `width` weights; undefined where they cannot be cut into blocks. */
export const blockOf = (width: number): number | undefined =>
  [longestBlock, longestBlock / 2, longestBlock / 4, longestBlock / 8].find((block) => width % block === 0);

/** A weight in int8 as MatMulNBits reads it: uint8 [out, blocks, block], 128 for 0. */
export function packInt8Blocks(weight: Float32Array, scales: Float32Array, out: number): Value {
  const block = weight.length / scales.length;
  const levels = new Uint8Array(weight.length);
  for (let b = 0; b < scales.length; b++) {
    for (let i = b * block; i < (b + 1) * block; i++) levels[i] = Math.round(weight[i]! / scales[b]!) + 128;
  }
  return value('uint8', [out, scales.length / out, block], levels);
}

/** The scale of each block of a weight in int4: its largest is exactly -8 scales. A block of zeros has 1. */
export function int4Scales(weight: Float32Array, block: number): Float32Array {
  const scales = new Float32Array(weight.length / block);
  for (let b = 0; b < scales.length; b++) {
    let largest = 0;
    for (let i = b * block; i < (b + 1) * block; i++) {
      if (Math.abs(weight[i]!) > Math.abs(largest)) largest = weight[i]!;
    }
    scales[b] = Math.fround(largest / -8) || 1;
  }
  return scales;
}

/**
 * A weight [out, in] in four bits as MatMulNBits reads it: uint8 [out, blocks, block / 2], two weights a byte, the first
 * in the low half, 8 for 0.
 */
export function packInt4(weight: Float32Array, scales: Float32Array, out: number): Value {
  const block = weight.length / scales.length;
  const halves = new Uint8Array(weight.length / 2);
  for (let b = 0; b < scales.length; b++) {
    const scale = scales[b]!;
    for (let i = b * block; i < (b + 1) * block; i += 2) {
      halves[i / 2] = int4Level(weight[i]! / scale) | (int4Level(weight[i + 1]! / scale) << 4);
    }
  }
  return value('uint8', [out, scales.length / out, block / 2], halves);
}

const int4Level = (steps: number): number => Math.min(15, Math.round(steps) + 8);

/**
 * How far rounding a weight [out, width] to whole multiples of its scales moves the layer's output, relative to it, where
 * every input has the same share in it: √ mean over inputs of ‖Δ‖² / ‖w‖². An input with tiny weights among large ones
 * is assumed to be large itself, and the other way round.
 */
export function roundingError(weight: Float32Array, scales: Float32Array, width: number): number {
  const group = weight.length / scales.length;
  const moved = new Float64Array(width);
  const size = new Float64Array(width);
  for (let start = 0; start < weight.length; start += width) {
    for (let i = 0; i < width; i++) {
      const w = weight[start + i]!;
      const scale = scales[Math.floor((start + i) / group)]!;
      const rest = w - Math.round(w / scale) * scale;
      moved[i]! += rest * rest;
      size[i]! += w * w;
    }
  }
  return Math.sqrt(moved.reduce((sum, m, i) => sum + (m === 0 ? 0 : m / size[i]!), 0) / width);
}
