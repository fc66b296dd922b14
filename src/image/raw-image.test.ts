import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { alphaBox, blank, crop, fitToSquare, flip, paste, type RawImage } from './index.ts';

const sized = fc.tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 12 }), fc.constantFrom(3, 4));
const images = sized.chain(([width, height, channels]) =>
  fc
    .uint8Array({ minLength: width * height * channels, maxLength: width * height * channels })
    .map((data): RawImage => ({ width, height, channels: channels === 3 ? 3 : 4, data })),
);

describe('paste', () => {
  it("equals Pillow's paste with the image as its mask, cut off at the left", () => {
    const canvas = blank(4, 3, [10, 200, 60]);
    const drawn = '093fda58b4236b7456a20c035e0ec0aacd1c41587d5cd7db9d6989361c215956186cb60b';
    const image: RawImage = { width: 3, height: 3, channels: 4, data: new Uint8Array(Buffer.from(drawn, 'hex')) };
    paste(canvas, image, { x: -1, y: 1 });
    expect(Buffer.from(canvas.data).toString('hex')).toBe(
      '0ac83c0ac83c0ac83c0ac83c577d510bc83b0ac83c0ac83c4d8d3e6d6bc10ac83c0ac83c',
    );
  });
  it('of an opaque image is the crop that was pasted', () => {
    fc.assert(
      fc.property(images, fc.integer({ min: -9, max: 9 }), fc.integer({ min: -9, max: 9 }), (image, x, y) => {
        fc.pre(image.channels === 3);
        const canvas = blank(10, 10, [0, 0, 0]);
        paste(canvas, image, { x, y });
        expect(canvas).toEqual(crop(image, { left: -x, top: -y, width: 10, height: 10 }));
      }),
    );
  });
});

it('flip is its own inverse, and moves the first column last', () => {
  fc.assert(
    fc.property(images, (image) => {
      const { width, height } = image;
      expect(flip(flip(image))).toEqual(image);
      const first = crop(image, { left: 0, top: 0, width: 1, height });
      expect(crop(flip(image), { left: width - 1, top: 0, width: 1, height })).toEqual(first);
    }),
  );
});

it('alphaBox holds every visible pixel, and each of its sides touches one', () => {
  fc.assert(
    fc.property(images, (image) => {
      fc.pre(image.channels === 4 && image.data.some((a, i) => i % 4 === 3 && a > 8));
      const visible = (x: number, y: number) => image.data[(y * image.width + x) * 4 + 3]! > 8;
      const points = Array.from({ length: image.width * image.height }, (_, i) => [
        i % image.width,
        Math.floor(i / image.width),
      ]).filter(([x, y]) => visible(x!, y!));
      const xs = points.map(([x]) => x!);
      const ys = points.map(([, y]) => y!);
      const [left, top] = [Math.min(...xs), Math.min(...ys)];
      expect(alphaBox(image)).toEqual({
        left,
        top,
        width: Math.max(...xs) - left + 1,
        height: Math.max(...ys) - top + 1,
      });
    }),
  );
});

describe('fitToSquare', () => {
  const black = (width: number, height: number): RawImage => blank(width, height, [0, 0, 0]);
  const inkBox = (image: RawImage) => {
    const data = new Uint8Array(image.width * image.height * 4);
    for (let i = 0; i < image.width * image.height; i++) data[i * 4 + 3] = 255 - image.data[i * 3]!;
    return alphaBox({ ...image, channels: 4, data });
  };
  it('centres, keeps the aspect ratio and leaves a tenth free', () => {
    expect(inkBox(fitToSquare(black(100, 50), 100))).toEqual({ left: 5, top: 27, width: 90, height: 45 });
  });
  it('goes where it is told', () => {
    const corner = fitToSquare(black(10, 20), 100, { scale: 0.6, position: [1, 0] });
    expect(inkBox(corner)).toEqual({ left: 70, top: 0, width: 30, height: 60 });
  });
});
