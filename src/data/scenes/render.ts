import { alphaBox, crop, flip, paste, type RawImage, resize } from '../../image/index.ts';
import { renderBackground } from './background.ts';
import { withLook } from './look.ts';
import type { Scene } from './scene.ts';

/**
 * The scene's pixels: RGB, size x size. `loadCutout` gives a picture's RGBA pixels by the name in its description; each
 * is cropped to what is visible, given its look, scaled (bicubic) to fit its box, and composited at the box's centre.
 */
export async function renderScene(scene: Scene, loadCutout: (image: string) => Promise<RawImage>): Promise<RawImage> {
  const canvas = renderBackground(scene.background, scene.size);
  for (const { picture, boxes, flip: mirrored, look } of scene.objects) {
    const loaded = await loadCutout(picture.image);
    const visible = crop(loaded, alphaBox(loaded));
    const turned = mirrored ? flip(visible) : visible;
    const cutout = look ? await withLook(turned, look) : turned;
    for (const box of boxes) {
      const factor = Math.min(box.width / cutout.width, box.height / cutout.height);
      const width = Math.max(1, Math.round(cutout.width * factor));
      const height = Math.max(1, Math.round(cutout.height * factor));
      paste(canvas, resize(cutout, { width, height }), {
        x: box.left + Math.floor((box.width - width) / 2),
        y: box.top + Math.floor((box.height - height) / 2),
      });
    }
  }
  return canvas;
}
