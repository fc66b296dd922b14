import { ShapeError } from '../core/index.ts';

/** Decoded pixels: [height, width, channels], row-major, 8 bits each; RGB, or RGBA with straight (not premultiplied) alpha. */
export interface RawImage {
  readonly width: number;
  readonly height: number;
  readonly channels: 3 | 4;
  readonly data: Uint8Array;
}

/** A rectangle of pixels; `left` and `top` count from the image's upper left corner. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export type Color = readonly [red: number, green: number, blue: number];

/** An opaque RGB image of one colour. */
export function blank(width: number, height: number, color: Color): RawImage {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i += 3) data.set(color, i);
  return { width, height, channels: 3, data };
}

/** The pixels inside `box`; what lies outside the image is zero, as in PIL's `Image.crop`. */
export function crop(image: RawImage, box: Box): RawImage {
  const { channels } = image;
  const { width, height } = box;
  const data = new Uint8Array(width * height * channels);
  const first = Math.max(0, box.left);
  const last = Math.min(image.width, box.left + width);
  for (let y = Math.max(0, -box.top); y < height && box.top + y < image.height && first < last; y++) {
    const row = (box.top + y) * image.width;
    const pixels = image.data.subarray((row + first) * channels, (row + last) * channels);
    data.set(pixels, (y * width + first - box.left) * channels);
  }
  return { width, height, channels, data };
}

/** The image mirrored left to right. */
export function flip(image: RawImage): RawImage {
  const { width, height, channels, data } = image;
  const out = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (y * width + width - 1 - x) * channels;
      const to = (y * width + x) * channels;
      for (let c = 0; c < channels; c++) out[to + c] = data[from + c]!;
    }
  }
  return { ...image, data: out };
}

/** The smallest box around the pixels whose alpha is above `threshold`: the whole image if there are none, or no alpha. */
export function alphaBox(image: RawImage, threshold = 8): Box {
  const { width, height, channels, data } = image;
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0; y < height && channels === 4; y++) {
    for (let x = 0; x < width; x++) {
      if (data[(y * width + x) * 4 + 3]! <= threshold) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = y;
    }
  }
  if (right < 0) return { left: 0, top: 0, width, height };
  return { left, top, width: right - left + 1, height: bottom - top + 1 };
}

/**
 * `image` drawn over `canvas` with its upper left corner at (x, y), which may lie outside: what sticks out is cut off.
 * The canvas is changed in place. Blends and rounds as PIL's `canvas.paste(image, (x, y), mask=image)`.
 */
export function paste(canvas: RawImage, image: RawImage, { x, y }: { x: number; y: number }): void {
  if (canvas.channels !== 3) throw new ShapeError('paste: expected an opaque canvas (3 channels), found 4 channels');
  const { channels } = image;
  const left = Math.max(0, -x);
  const right = Math.min(image.width, canvas.width - x);
  for (let row = Math.max(0, -y); row < image.height && y + row < canvas.height; row++) {
    for (let column = left; column < right; column++) {
      const from = (row * image.width + column) * channels;
      const to = ((y + row) * canvas.width + x + column) * 3;
      const alpha = channels === 4 ? image.data[from + 3]! : 255;
      for (let c = 0; c < 3; c++) {
        canvas.data[to + c] = divide255(image.data[from + c]! * alpha + canvas.data[to + c]! * (255 - alpha));
      }
    }
  }
}

/** round(n / 255) for 0 <= n <= 255², without a division. */
export function divide255(n: number): number {
  const rounded = n + 128;
  return ((rounded >> 8) + rounded) >> 8;
}

/** Whether no pixel lets anything through. */
export function isOpaque({ channels, data }: RawImage): boolean {
  if (channels === 3) return true;
  for (let i = 3; i < data.length; i += 4) if (data[i]! < 255) return false;
  return true;
}
