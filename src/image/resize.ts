/**
 * Resampling as PIL does it, bit for bit: a separable kernel that widens when the image shrinks (antialiasing), applied
 * along rows and columns in turn, each pass in 22-bit fixed point and rounded to 8 bits (Pillow,
 * src/libImaging/Resample.c). Other resizers differ by several levels, which published models would see as noise.
 */
import { divide255, type RawImage } from './raw-image.ts';

/** A resampling kernel: an even function that is zero beyond `radius`. */
interface Kernel {
  readonly radius: number;
  weight(x: number): number;
}

const kernels = {
  /** The triangle. */
  bilinear: { radius: 1, weight: (x) => 1 - Math.abs(x) },
  /** Keys' cubic convolution with a = -1/2 (IEEE Trans. ASSP 29, 1981). */
  bicubic: {
    radius: 2,
    weight(x) {
      const a = -0.5;
      const d = Math.abs(x);
      return d < 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : (((d - 5) * d + 8) * d - 4) * a;
    },
  },
} satisfies Record<string, Kernel>;

export type Resample = keyof typeof kernels;

const precision = 22;
const half = 1 << (precision - 1);

/** For each output position, the first input it reads and the fixed-point weights, `stride` of them reserved. */
interface Taps {
  readonly stride: number;
  readonly first: Int32Array;
  readonly count: Int32Array;
  readonly weights: Int32Array;
}

function tapsOf(kernel: Kernel, inputSize: number, outputSize: number): Taps {
  const scale = inputSize / outputSize;
  const stretch = Math.max(scale, 1);
  const radius = kernel.radius * stretch;
  const stride = Math.ceil(radius) * 2 + 1;
  const first = new Int32Array(outputSize);
  const count = new Int32Array(outputSize);
  const weights = new Int32Array(outputSize * stride);
  for (let i = 0; i < outputSize; i++) {
    const center = (i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - radius + 0.5));
    const end = Math.min(inputSize, Math.trunc(center + radius + 0.5));
    const exact = Array.from({ length: end - start }, (_, k) => {
      const x = (start + k - center + 0.5) * (1 / stretch);
      return Math.abs(x) < kernel.radius ? kernel.weight(x) : 0;
    });
    const sum = exact.reduce((total, w) => total + w, 0);
    first[i] = start;
    count[i] = end - start;
    for (const [k, w] of exact.entries()) weights[i * stride + k] = toFixed(w / sum);
  }
  return { stride, first, count, weights };
}

/** Nearest 22-bit fixed-point number, halves away from zero. */
const toFixed = (x: number): number => Math.trunc(x * 2 ** precision + (x < 0 ? -0.5 : 0.5));

/** [H, W, C] -> [H, width, C]. */
function resizeRows(image: RawImage, width: number, kernel: Kernel): RawImage {
  if (width === image.width) return image;
  const { height, channels, data } = image;
  const { stride, first, count, weights } = tapsOf(kernel, image.width, width);
  const out = new Uint8ClampedArray(height * width * channels);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (y * image.width + first[x]!) * channels;
      const tap = x * stride;
      const taps = count[x]!;
      for (let c = 0; c < channels; c++) {
        let sum = half;
        for (let k = 0, at = from + c; k < taps; k++, at += channels) sum += data[at]! * weights[tap + k]!;
        out[to++] = sum >> precision;
      }
    }
  }
  return { width, height, channels, data: new Uint8Array(out.buffer) };
}

/** [H, W, C] -> [height, W, C]. Whole rows are summed at a time, so that memory is read in order. */
function resizeColumns(image: RawImage, height: number, kernel: Kernel): RawImage {
  if (height === image.height) return image;
  const { width, channels, data } = image;
  const { stride, first, count, weights } = tapsOf(kernel, image.height, height);
  const row = width * channels;
  const out = new Uint8ClampedArray(height * row);
  const sums = new Int32Array(row);
  for (let y = 0; y < height; y++) {
    sums.fill(half);
    for (let k = 0; k < count[y]!; k++) {
      const weight = weights[y * stride + k]!;
      const from = (first[y]! + k) * row;
      for (let i = 0; i < row; i++) sums[i]! += data[from + i]! * weight;
    }
    for (let i = 0; i < row; i++) out[y * row + i] = sums[i]! >> precision;
  }
  return { width, height, channels, data: new Uint8Array(out.buffer) };
}

/**
 * The image resampled to width x height, the aspect ratio not kept: PIL's `Image.resize((width, height), resample)`.
 * With alpha, colours are weighted by it, so that the colour of transparent pixels does not bleed in.
 */
export function resize(
  image: RawImage,
  { width, height }: { width: number; height: number },
  resample: Resample = 'bicubic',
): RawImage {
  if (width === image.width && height === image.height) return image;
  const kernel = kernels[resample];
  // Rounding makes the order visible. Pillow 13 shrinks a tall image's columns first (before 13, always rows first).
  const columnsFirst = image.height - height > Math.max(0, 2 * (image.width - width));
  const scaled = (picture: RawImage) =>
    columnsFirst
      ? resizeRows(resizeColumns(picture, height, kernel), width, kernel)
      : resizeColumns(resizeRows(picture, width, kernel), height, kernel);
  return image.channels === 3 ? scaled(image) : unpremultiply(scaled(premultiply(image)));
}

function premultiply(image: RawImage): RawImage {
  const data = image.data.slice();
  for (let i = 0; i < data.length; i += 4) {
    const alpha = data[i + 3]!;
    for (let c = i; c < i + 3; c++) data[c] = divide255(data[c]! * alpha);
  }
  return { ...image, data };
}

function unpremultiply(image: RawImage): RawImage {
  const data = image.data.slice();
  for (let i = 0; i < data.length; i += 4) {
    const alpha = data[i + 3]!;
    if (alpha === 0) continue;
    for (let c = i; c < i + 3; c++) data[c] = Math.min(255, Math.trunc((data[c]! * 255) / alpha));
  }
  return { ...image, data };
}
