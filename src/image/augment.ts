import type { Random } from '../core/index.ts';
import { type Box, crop, flip, type RawImage } from './raw-image.ts';
import { resize } from './resize.ts';

export interface RandomResizedCropOptions {
  readonly width: number;
  readonly height: number;
  /** The crop's share of the image's area. LAVIS's default: [0.5, 1]. */
  readonly scale?: readonly [low: number, high: number];
  /** The crop's width / height, uniform in its logarithm. torchvision's default: [3/4, 4/3]. */
  readonly ratio?: readonly [low: number, high: number];
}

/** A random part of the image, resized (bicubic) to width x height: torchvision's RandomResizedCrop on PIL images. */
export function randomResizedCrop(image: RawImage, random: Random, options: RandomResizedCropOptions): RawImage {
  return resize(crop(image, randomBox(image, random, options)), options);
}

function randomBox(image: RawImage, random: Random, options: RandomResizedCropOptions): Box {
  const { scale = [0.5, 1], ratio = [3 / 4, 4 / 3] } = options;
  for (let attempt = 0; attempt < 10; attempt++) {
    const area = image.width * image.height * random.between(...scale);
    const aspect = Math.exp(random.between(Math.log(ratio[0]), Math.log(ratio[1])));
    const width = Math.round(Math.sqrt(area * aspect));
    const height = Math.round(Math.sqrt(area / aspect));
    if (width < 1 || height < 1 || width > image.width || height > image.height) continue;
    return { width, height, left: random.below(image.width - width + 1), top: random.below(image.height - height + 1) };
  }
  return centralBox(image, ratio);
}

/** The largest central box whose aspect ratio is in range, for images too long or too tall for a random one. */
function centralBox({ width: w, height: h }: RawImage, [low, high]: readonly [number, number]): Box {
  const width = w / h > high ? Math.round(h * high) : w;
  const height = w / h < low ? Math.round(w / low) : h;
  return { width, height, left: Math.floor((w - width) / 2), top: Math.floor((h - height) / 2) };
}

/** LAVIS's training transform: a random resized crop, mirrored half of the time. */
export function augment(image: RawImage, random: Random, options: RandomResizedCropOptions): RawImage {
  const cropped = randomResizedCrop(image, random, options);
  return random.chance(0.5) ? flip(cropped) : cropped;
}
