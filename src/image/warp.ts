import type { RawImage } from './raw-image.ts';

/** A smooth change of shape. */
export interface Warp {
  /** Degrees clockwise. */
  readonly turn: number;
  /** What the width gains over the height. */
  readonly stretch: number;
  /** How far columns and rows are moved, as shares of the larger side, along a wave as long as the image. */
  readonly bend: readonly [x: number, y: number];
  /** Where the waves begin, in radians. */
  readonly phase: number;
}

/** A right angle's sine and cosine are not quite whole. */
const rounding = 1e-9;

/** The image, RGBA or RGB, in another shape, on a larger and transparent ground that holds it whole. Bilinear. */
export function warp(image: RawImage, { turn, stretch, bend, phase }: Warp): RawImage {
  const angle = (turn * Math.PI) / 180;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const [wider, higher] = [Math.sqrt(stretch), 1 / Math.sqrt(stretch)];
  const larger = Math.max(image.width, image.height);
  const frequency = (2 * Math.PI) / larger;
  const margin = 2 * larger * Math.max(Math.abs(bend[0]), Math.abs(bend[1])) + 4;
  const [across, down] = [image.width * wider + margin, image.height * higher + margin];
  const width = Math.ceil(across * Math.abs(cos) + down * Math.abs(sin) - rounding);
  const height = Math.ceil(across * Math.abs(sin) + down * Math.abs(cos) - rounding);
  const data = new Uint8Array(width * height * 4);
  for (let row = 0, to = 0; row < height; row++) {
    const y = row + 0.5 - height / 2;
    for (let column = 0; column < width; column++, to += 4) {
      const x = column + 0.5 - width / 2;
      // Where the pixel comes from: the shape is turned last, so it is turned back first.
      const u = (x * cos + y * sin) / wider;
      const v = (y * cos - x * sin) / higher;
      const fromX = u + bend[0] * larger * Math.sin(v * frequency + phase) + image.width / 2;
      const fromY = v + bend[1] * larger * Math.sin(u * frequency + phase) + image.height / 2;
      sample(image, fromX, fromY, data, to);
    }
  }
  return { width, height, channels: 4, data };
}

/** The colour at a point of the image, between the pixels around it, each weighed by its alpha. */
function sample({ width, height, channels, data }: RawImage, x: number, y: number, out: Uint8Array, to: number): void {
  const left = Math.floor(x - 0.5);
  const top = Math.floor(y - 0.5);
  const [right, bottom] = [Math.min(width - 1, left + 1), Math.min(height - 1, top + 1)];
  let red = 0;
  let green = 0;
  let blue = 0;
  let alpha = 0;
  for (let row = Math.max(0, top); row <= bottom; row++) {
    for (let column = Math.max(0, left); column <= right; column++) {
      const from = (row * width + column) * channels;
      const share = (1 - Math.abs(x - 0.5 - column)) * (1 - Math.abs(y - 0.5 - row));
      const weight = share * (channels === 4 ? data[from + 3]! : 255);
      red += weight * data[from]!;
      green += weight * data[from + 1]!;
      blue += weight * data[from + 2]!;
      alpha += weight;
    }
  }
  if (alpha < 0.5) return;
  out[to] = Math.round(red / alpha);
  out[to + 1] = Math.round(green / alpha);
  out[to + 2] = Math.round(blue / alpha);
  out[to + 3] = Math.round(alpha);
}
