import { alphaBox, blank, type Color, crop, isOpaque, paste, type RawImage } from './raw-image.ts';
import { resize } from './resize.ts';

export interface FitOptions {
  /** The longer side of the picture as a share of the canvas. */
  readonly scale?: number;
  readonly background?: Color;
  /** Where the picture's free space goes: [0, 0] upper left, [0.5, 0.5] centre (the default), [1, 1] lower right. */
  readonly position?: readonly [x: number, y: number];
}

/**
 * The data set's preprocessing "fit": the picture without its transparent margins, scaled (bicubic) until its longer
 * side is 0.9 of the canvas, at the centre of a white size x size canvas. Unlike a plain resize it keeps the aspect
 * ratio and composites alpha.
 */
export function fitToSquare(image: RawImage, size: number, options: FitOptions = {}): RawImage {
  const { scale = 0.9, background = [255, 255, 255], position = [0.5, 0.5] } = options;
  const box = alphaBox(image);
  const factor = (scale * size) / Math.max(box.width, box.height);
  const width = Math.max(1, Math.round(box.width * factor));
  const height = Math.max(1, Math.round(box.height * factor));
  const canvas = blank(size, size, background);
  paste(canvas, resize(crop(image, box), { width, height }), {
    x: Math.floor((size - width) * position[0]),
    y: Math.floor((size - height) * position[1]),
  });
  return canvas;
}

/**
 * A picture as `do_fit` frames it, for training and for use: an opaque one fills its rectangle, and so the canvas, as there
 * are no margins to take off or to leave.
 */
export const fitPicture = (image: RawImage, size: number): RawImage =>
  fitToSquare(image, size, isOpaque(image) ? { scale: 1 } : {});
