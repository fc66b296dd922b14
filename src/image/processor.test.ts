import { describe, expect, it } from 'vitest';
import { blip } from '../../test/blip-processor.ts';
import { ConfigError, ShapeError, toNumbers } from '../core/index.ts';
import { blank, normalise, parseImageProcessor, pixelValues, toModelSize, withSize } from './index.ts';

describe('a wrong configuration is refused by field', () => {
  it.each([
    [{ ...blip, resample: 1 }, /^p\.json: resample: expected 2 \(bilinear\) or 3 \(bicubic\), found 1$/],
    [{ ...blip, image_processor_type: 'FooImageProcessor' }, /^p\.json: image_processor_type: .*BlipImageProcessor/],
    [
      { ...blip, size: { longest_edge: 3 } },
      /^p\.json: size: expected \{height, width\} or \{shortest_edge\}, found \{"longest_edge":3\}$/,
    ],
    [{ ...blip, image_std: [1, 0, 1] }, /^p\.json: image_std\.1: /],
    [{ ...blip, image_mean: undefined }, /^p\.json: image_mean: /],
    [{ ...blip, size: { shortest_edge: 3 } }, /^p\.json: size: expected a height and a width/],
    [{ ...blip, do_fit: true }, /^p\.json: size: expected a square.*8x6/],
    [{ ...blip, do_center_crop: true }, /^p\.json: crop_size: /],
    ['nothing', /^p\.json: the file: /],
  ])('%#', (config, message) => {
    expect(() => parseImageProcessor(config, 'p.json')).toThrow(ConfigError);
    expect(() => parseImageProcessor(config, 'p.json')).toThrow(message);
  });
});

it('rescales, then normalises each channel: [B, 3, H, W]', () => {
  const values = pixelValues([blank(3, 3, [255, 0, 51]), blank(5, 2, [0, 255, 0])], parseImageProcessor(blip));
  expect(values.shape).toEqual([2, 3, 6, 8]);
  const planes = toNumbers(values).filter((_, i) => i % 48 === 20);
  expect(planes.map((v) => v.toFixed(6))).toEqual([
    '1.000000',
    '-1.000000',
    '0.200000',
    '-1.000000',
    '3.000000',
    '0.000000',
  ]);
});

it('leaves levels alone where its steps are switched off', () => {
  const p = parseImageProcessor({ ...blip, do_rescale: false, do_normalize: false });
  expect(toNumbers(pixelValues([blank(8, 6, [1, 2, 3])], p)).filter((_, i) => i % 48 === 0)).toEqual([1, 2, 3]);
});

it('resizes the shorter side and crops the centre, as CLIP and BitImageProcessor do', () => {
  const p = parseImageProcessor({
    ...blip,
    image_processor_type: 'BitImageProcessor',
    size: { shortest_edge: 10 },
    crop_size: { height: 8, width: 8 },
  });
  const wide = blank(40, 20, [0, 0, 0]);
  for (let y = 0; y < 20; y++) for (let x = 10; x < 30; x++) wide.data[(y * 40 + x) * 3] = 255;
  const seen = toModelSize(wide, p);
  expect([seen.width, seen.height]).toEqual([8, 8]);
  expect(Math.min(...seen.data.filter((_, i) => i % 3 === 0))).toBeGreaterThan(240); // 10 x 10 of 20 x 10, then 8 x 8
});

it('takes another size for interpolated positions', () => {
  expect(toModelSize(blank(9, 9, [1, 1, 1]), withSize(parseImageProcessor(blip), 14))).toMatchObject({
    width: 14,
    height: 14,
  });
});

it('normalise refuses images of another size', () => {
  expect(() => normalise([blank(8, 7, [0, 0, 0])], parseImageProcessor(blip))).toThrow(ShapeError);
});
