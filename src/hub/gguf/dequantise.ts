import { bfloatToFloat, fromBytes, halfToFloat, halfToNumber } from '../../core/index.ts';

/** How ggml stores a run of elements: `bytes` bytes hold `elements` of them, with scales of their own. */
interface BlockFormat {
  readonly elements: number;
  readonly bytes: number;
  /** Writes the elements of the block at the start of `block` to the start of `out`. */
  decode(block: Uint8Array, out: Float32Array): void;
}

const halfAt = (bytes: Uint8Array, at: number): number => halfToNumber(bytes[at]! | (bytes[at + 1]! << 8));
const int8At = (bytes: Uint8Array, at: number): number => (bytes[at]! << 24) >> 24;
const bitAt = (bytes: Uint8Array, i: number): number => (bytes[i >> 3]! >> (i & 7)) & 1;

/**
 * Blocks of 32: a half scale d, perhaps a half minimum m, perhaps 32 fifth bits, then 16 bytes whose low nibbles are
 * the elements 0-15 and whose high nibbles 16-31. x = d q + m, or d (q − half the range) where there is no minimum.
 */
function nibbleBlock({ minimum, fifthBit }: { minimum: boolean; fifthBit: boolean }): BlockFormat {
  const fifthBitsAt = minimum ? 4 : 2;
  const nibblesAt = fifthBitsAt + (fifthBit ? 4 : 0);
  const zero = minimum ? 0 : fifthBit ? 16 : 8;
  return {
    elements: 32,
    bytes: nibblesAt + 16,
    decode(block, out) {
      const d = halfAt(block, 0);
      const m = minimum ? halfAt(block, 2) : 0;
      const high = block.subarray(fifthBitsAt);
      for (let i = 0; i < 32; i++) {
        const nibble = (block[nibblesAt + (i & 15)]! >> (i < 16 ? 0 : 4)) & 15;
        const q = fifthBit ? nibble | (bitAt(high, i) << 4) : nibble;
        out[i] = d * (q - zero) + m;
      }
    },
  };
}

/** Blocks of 32: a half scale d and 32 signed bytes. x = d q. */
const byteBlock: BlockFormat = {
  elements: 32,
  bytes: 34,
  decode(block, out) {
    const d = halfAt(block, 0);
    for (let i = 0; i < 32; i++) out[i] = d * int8At(block, 2 + i);
  },
};

/**
 * Blocks of 256 in eight groups of 32, each with a 6-bit scale and minimum (packed in 12 bytes) under the block's half
 * scales d and dmin; then perhaps 256 fifth bits (bit g of byte i is for element i of group g), then nibbles, two
 * groups to 32 bytes. x = d scale q − dmin minimum.
 */
function superBlock({ fifthBit }: { fifthBit: boolean }): BlockFormat {
  const fifthBitsAt = 16;
  const nibblesAt = fifthBitsAt + (fifthBit ? 32 : 0);
  return {
    elements: 256,
    bytes: nibblesAt + 128,
    decode(block, out) {
      const d = halfAt(block, 0);
      const dmin = halfAt(block, 2);
      const packed = block.subarray(4, 16);
      for (let group = 0; group < 8; group++) {
        const [scale, minimum] = sixBitPair(packed, group);
        for (let i = 0; i < 32; i++) {
          const nibble = (block[nibblesAt + (group >> 1) * 32 + i]! >> (group & 1 ? 4 : 0)) & 15;
          const q = fifthBit ? nibble | (((block[fifthBitsAt + i]! >> group) & 1) << 4) : nibble;
          out[group * 32 + i] = d * scale * q - dmin * minimum;
        }
      }
    },
  };
}

/** Groups 0-3 have their six bits in one byte each; groups 4-7 four bits in the last bytes and two in the first. */
function sixBitPair(packed: Uint8Array, group: number): [scale: number, minimum: number] {
  if (group < 4) return [packed[group]! & 63, packed[group + 4]! & 63];
  const low = packed[group + 4]!;
  return [(low & 15) | ((packed[group - 4]! >> 6) << 4), (low >> 4) | ((packed[group]! >> 6) << 4)];
}

/** Blocks of 256: low nibbles, two high bits, sixteen signed scales of 16 elements each, a half scale d. */
const sixBitBlock: BlockFormat = {
  elements: 256,
  bytes: 210,
  decode(block, out) {
    const d = halfAt(block, 208);
    for (let i = 0; i < 256; i++) {
      const half = i >> 7; // each half of the block has 64 bytes of nibbles and 32 of high bits
      const row = (i >> 5) & 3;
      const column = i & 31;
      const nibble = (block[half * 64 + (row & 1) * 32 + column]! >> (row < 2 ? 0 : 4)) & 15;
      const high = (block[128 + half * 32 + column]! >> (row * 2)) & 3;
      out[i] = d * int8At(block, 192 + (i >> 4)) * ((nibble | (high << 4)) - 32);
    }
  },
};

/** The block formats by ggml's names for them (layouts: ggml-common.h; `gguf.quants` in Python is the oracle). */
const blockFormats = {
  Q4_0: nibbleBlock({ minimum: false, fifthBit: false }),
  Q4_1: nibbleBlock({ minimum: true, fifthBit: false }),
  Q5_0: nibbleBlock({ minimum: false, fifthBit: true }),
  Q5_1: nibbleBlock({ minimum: true, fifthBit: true }),
  Q8_0: byteBlock,
  Q4_K: superBlock({ fifthBit: false }),
  Q5_K: superBlock({ fifthBit: true }),
  Q6_K: sixBitBlock,
} satisfies Record<string, BlockFormat>;

/** How a tensor type stores its elements: in blocks, or as plain numbers. */
interface Storage {
  readonly elements: number;
  readonly bytes: number;
  toFloats(bytes: Uint8Array): Float32Array;
}

const inBlocks = (format: BlockFormat): Storage => ({
  elements: format.elements,
  bytes: format.bytes,
  toFloats(bytes) {
    const out = new Float32Array((bytes.length / format.bytes) * format.elements);
    for (let block = 0; block * format.bytes < bytes.length; block++) {
      format.decode(bytes.subarray(block * format.bytes), out.subarray(block * format.elements));
    }
    return out;
  },
});

const storages: Readonly<Record<string, Storage>> = {
  F32: { elements: 1, bytes: 4, toFloats: (bytes) => fromBytes('float32', bytes) },
  F16: { elements: 1, bytes: 2, toFloats: (bytes) => halfToFloat(fromBytes('float16', bytes)) },
  BF16: { elements: 1, bytes: 2, toFloats: (bytes) => bfloatToFloat(fromBytes('bfloat16', bytes)) },
  ...Object.fromEntries(Object.entries(blockFormats).map(([name, format]) => [name, inBlocks(format)])),
};

/** The tensor types that can be read, by ggml's names. */
export const ggmlTypes: readonly string[] = Object.keys(storages);

/** The bytes that `count` elements of a type take; undefined where the type is unknown or blocks do not divide them. */
export function ggmlBytes(type: string, count: number): number | undefined {
  const storage = storages[type];
  return storage && count % storage.elements === 0 ? (count / storage.elements) * storage.bytes : undefined;
}

/** Whole blocks of one of `ggmlTypes` as float32. */
export function dequantise(type: string, bytes: Uint8Array): Float32Array {
  const storage = storages[type];
  if (storage === undefined) throw new TypeError(`no ggml type ${type}; known are ${ggmlTypes.join(', ')}`);
  return storage.toFloats(bytes);
}
