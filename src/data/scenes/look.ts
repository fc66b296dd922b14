import sharp from 'sharp';
import type { Random } from '../../core/index.ts';
import { alphaBox, crop, type RawImage, type Warp, warp } from '../../image/index.ts';
import { namedColors } from './background.ts';

/** How a cut-out is drawn other than its file has it: what another hand would have done to the same thing. */
export interface Look extends Warp {
  /** Degrees on the colour circle. */
  readonly hue: number;
  /** Factors; 1: as it is. */
  readonly saturation: number;
  readonly brightness: number;
  readonly contrast: number;
}

/** Words for colours beside those of backgrounds: a thing that is called by one keeps its own. */
const colorWords = new Set([...Object.keys(namedColors), 'grey', 'gold', 'golden', 'silver', 'rainbow', 'blond']);

/** A random look for a thing of this name. One that is called by a colour keeps its hue. */
export function drawLook(random: Random, name: string): Look {
  const factor = (most: number) => most ** random.between(-1, 1);
  const shape: Warp = {
    turn: random.between(-15, 15),
    stretch: factor(1.25),
    bend: [random.between(-0.06, 0.06), random.between(-0.06, 0.06)],
    phase: random.between(0, 2 * Math.PI),
  };
  const tones = { saturation: factor(1.6), brightness: factor(1.25), contrast: factor(1.3) };
  const hue = Math.round(random.between(-40, 40));
  const grey = random.chance(0.1);
  if (name.split(' ').some((word) => colorWords.has(word))) return { ...shape, ...tones, hue: 0 };
  return { ...shape, ...tones, hue, saturation: grey ? 0 : tones.saturation };
}

/** The cut-out, RGBA, with that look, cut to what is visible. */
export async function withLook(cutout: RawImage, look: Look): Promise<RawImage> {
  const shaped = warp(cutout, look);
  const { width, height, channels, data } = crop(shaped, alphaBox(shaped));
  const { hue, saturation, brightness, contrast } = look;
  const pixels = await sharp(data, { raw: { width, height, channels } })
    .modulate({ hue, saturation, brightness })
    .linear(contrast, 128 * (1 - contrast))
    .raw()
    .toBuffer();
  return { width, height, channels, data: new Uint8Array(pixels) };
}
