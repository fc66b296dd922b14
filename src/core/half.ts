/** Conversions between float32 and the two 16-bit formats that checkpoints use, rounding to nearest even. */

const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

/** One IEEE half as a number. */
export function halfToNumber(h: number): number {
  const sign = h & 0x8000 ? -1 : 1;
  const exponent = (h >> 10) & 0x1f;
  const fraction = h & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The IEEE half nearest to a number. */
export function numberToHalf(x: number): number {
  f32[0] = x;
  const bits = u32[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 127;
  const fraction = bits & 0x7fffff;
  if (exponent === 128) return sign | 0x7c00 | (fraction ? 0x200 : 0);
  if (exponent > 15) return sign | 0x7c00;
  if (exponent >= -14) return sign + roundedShift(((exponent + 15) << 23) | fraction, 13);
  if (exponent < -25) return sign;
  return sign + roundedShift(fraction | 0x800000, 13 + (-14 - exponent));
}

/** bits / 2^shift, to nearest, ties to even; a carry runs into the exponent, as it should. */
function roundedShift(bits: number, shift: number): number {
  const kept = bits >>> shift;
  const rest = bits & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return kept + (rest > half || (rest === half && kept & 1) ? 1 : 0);
}

let halfTable: Float32Array | undefined;

/** An array of IEEE halves as float32 (by table: 65,536 entries). */
export function halfToFloat(halves: Uint16Array): Float32Array {
  halfTable ??= Float32Array.from({ length: 65_536 }, (_, h) => halfToNumber(h));
  const out = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) out[i] = halfTable[halves[i]!]!;
  return out;
}

/** float32 as IEEE halves. */
export function floatToHalf(floats: Float32Array): Uint16Array {
  const out = new Uint16Array(floats.length);
  for (let i = 0; i < floats.length; i++) out[i] = numberToHalf(floats[i]!);
  return out;
}

/** An array of bfloat16 as float32: the upper half of the same bits. */
export function bfloatToFloat(words: Uint16Array): Float32Array {
  const out = new Uint32Array(words.length);
  for (let i = 0; i < words.length; i++) out[i] = words[i]! << 16;
  return new Float32Array(out.buffer);
}

/** float32 as bfloat16. */
export function floatToBfloat(floats: Float32Array): Uint16Array {
  const bits = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
  const out = new Uint16Array(floats.length);
  for (let i = 0; i < bits.length; i++) {
    const b = bits[i]!;
    const isNaNValue = (b & 0x7fffffff) > 0x7f800000;
    out[i] = isNaNValue ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16;
  }
  return out;
}
