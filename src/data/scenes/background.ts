import { DataError, type Random, random } from '../../core/index.ts';
import { blank, type Color, type RawImage } from '../../image/index.ts';
import { articleOf } from './noun.ts';

/** The colours that a background can be called. */
export const namedColors = {
  white: [255, 255, 255],
  black: [24, 24, 26],
  gray: [140, 142, 146],
  red: [208, 44, 46],
  orange: [245, 148, 40],
  yellow: [250, 218, 70],
  green: [76, 168, 84],
  blue: [58, 116, 212],
  purple: [132, 82, 184],
  pink: [246, 160, 196],
  brown: [136, 92, 60],
} as const satisfies Record<string, Color>;
export type ColorName = keyof typeof namedColors;
const colorNames = Object.keys(namedColors) as ColorName[];

/** What lies behind a scene's objects; every kind has the names of its colours and can be drawn from its description. */
export type Background =
  | { readonly kind: 'plain'; readonly names: readonly [ColorName]; readonly color: Color }
  | {
      readonly kind: 'gradient';
      readonly names: readonly [ColorName, ColorName];
      readonly from: Color;
      readonly to: Color;
      /** The direction in which `from` becomes `to`, in radians clockwise from rightwards. */
      readonly angle: number;
    }
  | {
      readonly kind: 'texture';
      readonly names: readonly [ColorName];
      readonly color: Color;
      readonly seed: number;
      /** The size of the noise's coarse spots in pixels. */
      readonly grain: number;
    };

/** A random background that has none of the `taken` colours, so that a yellow heart does not vanish into yellow. */
export function drawBackground(random: Random, taken: ReadonlySet<string>): Background {
  const [first, second] = random.shuffle(colorNames.filter((name) => !taken.has(name)));
  if (first === undefined || second === undefined)
    throw new DataError('a background needs two colours that no object is named by');
  const kind = random.uniform();
  if (kind < 0.25 && !taken.has('white')) return { kind: 'plain', names: ['white'], color: namedColors.white };
  if (kind < 0.6) return { kind: 'plain', names: [first], color: shade(random, first) };
  if (kind < 0.8) {
    const [from, to] = [shade(random, first), shade(random, second)];
    return { kind: 'gradient', names: [first, second], from, to, angle: random.between(0, 2 * Math.PI) };
  }
  const grain = 6 + random.below(20);
  return { kind: 'texture', names: [first], color: shade(random, first), seed: random.uint32(), grain };
}

/** A little lighter or darker than the colour's name alone says. */
function shade(random: Random, name: ColorName): Color {
  const change = () => Math.round(random.between(-14, 14));
  const [red, green, blue] = namedColors[name];
  const clamp = (x: number) => Math.max(0, Math.min(255, x));
  return [clamp(red + change()), clamp(green + change()), clamp(blue + change())];
}

/** The background's colour in words: `green`, `red and blue`. */
export const colorOf = (background: Background): string => background.names.join(' and ');

/** `a green background`, `a red and blue background`, `a textured green background`. */
export function nameBackground(background: Background): string {
  const name = `${background.kind === 'texture' ? 'textured ' : ''}${colorOf(background)} background`;
  return `${articleOf(name)} ${name}`;
}

/** The background's pixels: RGB, size x size. */
export function renderBackground(background: Background, size: number): RawImage {
  switch (background.kind) {
    case 'plain':
      return blank(size, size, background.color);
    case 'gradient': {
      const { from, to, angle } = background;
      const [dx, dy] = [Math.cos(angle), Math.sin(angle)];
      // The projection of a corner on the direction: there the gradient has reached its end.
      const reach = (size / 2) * (Math.abs(dx) + Math.abs(dy));
      const along = (x: number, y: number) => 0.5 + ((x - size / 2) * dx + (y - size / 2) * dy) / (2 * reach);
      return paint(size, along, (t, c) => from[c]! + (to[c]! - from[c]!) * t);
    }
    case 'texture': {
      const { color, seed, grain } = background;
      const coarse = smoothNoise(seed, size, grain);
      const fine = smoothNoise(seed + 1, size, 2);
      return paint(
        size,
        (x, y) => 20 * coarse(x, y) + 14 * fine(x, y),
        (lighter, c) => color[c]! + lighter,
      );
    }
  }
}

/** An image whose levels are a function of a field: one number for each pixel. */
function paint(
  size: number,
  field: (x: number, y: number) => number,
  level: (value: number, channel: number) => number,
): RawImage {
  const data = new Uint8ClampedArray(size * size * 3);
  for (let i = 0; i < size * size; i++) {
    const value = field(i % size, Math.floor(i / size));
    for (let c = 0; c < 3; c++) data[3 * i + c] = level(value, c);
  }
  return { width: size, height: size, channels: 3, data: new Uint8Array(data.buffer) };
}

/** Value noise in [-1, 1]: random numbers on a lattice of `grain` pixels, bilinear between them. */
function smoothNoise(seed: number, size: number, grain: number): (x: number, y: number) => number {
  const side = Math.floor((size - 1) / grain) + 2;
  const draws = random(seed, 'texture');
  const lattice = Float32Array.from({ length: side * side }, () => draws.between(-1, 1));
  const mix = (a: number, b: number, t: number) => a + (b - a) * t;
  return (x, y) => {
    const [column, row] = [Math.floor(x / grain), Math.floor(y / grain)];
    const [tx, ty] = [x / grain - column, y / grain - row];
    const at = row * side + column;
    const upper = mix(lattice[at]!, lattice[at + 1]!, tx);
    return mix(upper, mix(lattice[at + side]!, lattice[at + side + 1]!, tx), ty);
  };
}
