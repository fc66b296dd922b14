import fc from 'fast-check';
import sharp from 'sharp';
import { expect, it } from 'vitest';
import { alphaBox, crop, type RawImage, type Warp, warp } from './index.ts';

const still: Warp = { turn: 0, stretch: 1, bend: [0, 0], phase: 0 };
const visible = (image: RawImage): RawImage => crop(image, alphaBox(image, 0));

/** Opaque images, RGBA. */
const images = fc.tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 12 })).chain(([width, height]) =>
  fc.uint8Array({ minLength: width * height * 4, maxLength: width * height * 4 }).map((bytes): RawImage => {
    const data = bytes.map((value, i) => (i % 4 === 3 ? 255 : value));
    return { width, height, channels: 4, data };
  }),
);

it('changes nothing where nothing is asked', () => {
  fc.assert(
    fc.property(images, (image) => {
      expect(visible(warp(image, still))).toEqual(image);
    }),
  );
});

it("turns as sharp's rotate does, by right angles", async () => {
  await fc.assert(
    fc.asyncProperty(images, fc.constantFrom(90, 180, 270), async (image, turn) => {
      const { width, height, channels, data } = image;
      const rotated = sharp(data, { raw: { width, height, channels } }).rotate(turn).raw();
      const reference = await rotated.toBuffer({ resolveWithObject: true });
      const ours = visible(warp(image, { ...still, turn }));
      expect([ours.width, ours.height]).toEqual([reference.info.width, reference.info.height]);
      expect(Buffer.from(ours.data).equals(reference.data)).toBe(true);
    }),
  );
});

it('holds the whole shape, and keeps its area', () => {
  const square: RawImage = { width: 40, height: 40, channels: 4, data: new Uint8Array(40 * 40 * 4).fill(255) };
  const warps = fc.record({
    turn: fc.double({ min: -180, max: 180, noNaN: true }),
    stretch: fc.double({ min: 0.5, max: 2, noNaN: true }),
    bend: fc.tuple(
      fc.double({ min: -0.05, max: 0.05, noNaN: true }),
      fc.double({ min: -0.05, max: 0.05, noNaN: true }),
    ),
    phase: fc.double({ min: 0, max: 6, noNaN: true }),
  });
  fc.assert(
    fc.property(warps, (change) => {
      const shape = warp(square, change);
      const { left, top, width, height } = alphaBox(shape);
      expect(Math.min(left, top, shape.width - left - width, shape.height - top - height)).toBeGreaterThan(0);
      const area = shape.data.reduce((sum, value, i) => (i % 4 === 3 ? sum + value / 255 : sum), 0);
      expect(area / 1600).toBeGreaterThan(0.9);
      expect(area / 1600).toBeLessThan(1.12);
    }),
  );
});

it('no transparent colour bleeds into what is seen', () => {
  const data = Uint8Array.from({ length: 20 * 20 * 4 }, (_, i) => {
    const inside = Math.floor(i / 4) % 20 > 5;
    return i % 4 === 0 ? (inside ? 200 : 0) : i % 4 === 3 ? (inside ? 255 : 0) : 10;
  });
  const turned = warp({ width: 20, height: 20, channels: 4, data }, { ...still, turn: 20 });
  for (let i = 0; i < turned.data.length; i += 4) if (turned.data[i + 3]! > 0) expect(turned.data[i]).toBe(200);
});
