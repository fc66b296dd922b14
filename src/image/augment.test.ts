import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { random } from '../core/index.ts';
import { augment, type RawImage, randomResizedCrop } from './index.ts';

/** Red grows to the right and green downwards, so that a crop's colours tell where it was. */
function gradient(width: number, height: number): RawImage {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const pixel = Math.floor(i / 3);
    return [Math.round(((pixel % width) / width) * 255), Math.round((Math.floor(pixel / width) / height) * 255), 0][
      i % 3
    ]!;
  });
  return { width, height, channels: 3, data };
}

const range = ({ data }: RawImage, channel: number) => {
  const levels = data.filter((_, i) => i % 3 === channel);
  return Math.max(...levels) - Math.min(...levels);
};

describe('randomResizedCrop', () => {
  it('takes a part within the scale and the ratio', () => {
    const image = gradient(64, 64);
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const cropped = randomResizedCrop(image, random(seed), { width: 64, height: 64 });
        const area = (range(cropped, 0) * range(cropped, 1)) / 255 ** 2;
        const aspect = range(cropped, 0) / range(cropped, 1);
        expect(cropped).toMatchObject({ width: 64, height: 64, channels: 3 });
        expect(area).toBeGreaterThan(0.42);
        expect(area).toBeLessThanOrEqual(1);
        expect(aspect).toBeGreaterThan(0.7);
        expect(aspect).toBeLessThan(1.43);
      }),
    );
  });
  it('takes the centre of an image that is too long for any allowed crop', () => {
    const cropped = randomResizedCrop(gradient(400, 4), random(1), { width: 8, height: 8 });
    const reds = cropped.data.filter((_, i) => i % 3 === 0);
    expect(Math.max(...reds) - Math.min(...reds)).toBeLessThan(6);
    expect(Math.abs((reds.at(0)! + reds.at(-1)!) / 2 - 127)).toBeLessThan(3);
  });
});

it('augment mirrors about half of the images, and repeats itself by seed', () => {
  const image = gradient(32, 32);
  const mirrored = Array.from({ length: 200 }, (_, seed) => {
    const { data } = augment(image, random(seed), { width: 8, height: 8 });
    expect(augment(image, random(seed), { width: 8, height: 8 }).data).toEqual(data);
    return data[0]! > data[7 * 3]!;
  }).filter(Boolean).length;
  expect(mirrored).toBeGreaterThan(70);
  expect(mirrored).toBeLessThan(130);
});
