import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { toFloat32, type Value } from '../../src/core/index.ts';
import { Checkpoint } from '../../src/hub/index.ts';
import {
  decodeImage,
  type ImageProcessor,
  normalise,
  parseImageProcessor,
  pixelValues,
  type RawImage,
  readModelImage,
  resize,
} from '../../src/image/index.ts';
import { absoluteError, goldenPath, readFixture, readJson, take } from './fixtures.ts';

interface ImagesInfo {
  mean: number[];
  std: number[];
  files: { file: string; mode: string }[];
}

const info = await readJson<ImagesInfo>('images/info.json');
const decoded = await readFixture('images/decoded_rgb.safetensors');
const resized = await readFixture('images/resized_u8.safetensors');
const hf = await readFixture('images/pixel_values_hf.safetensors');
const lavis = await readFixture('images/pixel_values_lavis.safetensors');

const toImage = ({ shape, data }: Value): RawImage => {
  const [height, width, channels] = shape;
  if (channels !== 3 || !(data instanceof Uint8Array)) throw new Error('expected uint8 [H, W, 3]');
  return { height: height!, width: width!, channels, data };
};

/** `exif6.jpg@transposed` is exif6.jpg after its EXIF rotation. */
const decode = (key: string) => {
  const [file, transposed] = key.split('@');
  return decodeImage(goldenPath(`images/${file}`), { exifRotate: transposed !== undefined });
};

/** `28/photo.jpg`: photo.jpg at 28 x 28. */
const splitKey = (key: string): [size: number, image: string] => {
  const [size, image] = key.split('/');
  return [Number(size), image!];
};

const processorOf = (size: number): ImageProcessor =>
  parseImageProcessor({
    image_processor_type: 'BlipImageProcessor',
    size: { height: size, width: size },
    resample: 3,
    image_mean: info.mean,
    image_std: info.std,
  });

describe('decoding', () => {
  it('covers every file of the fixture', () => {
    expect(Object.keys(decoded).filter((key) => !key.includes('@'))).toEqual(info.files.map((f) => f.file).sort());
  });
  it.each(Object.keys(decoded))('%s has the pixels of PIL', async (key) => {
    const image = await decode(key);
    const expected = take(decoded, key);
    expect([image.height, image.width, image.channels]).toEqual(expected.shape);
    expect(absoluteError(image.data, expected)).toBe(0);
  });
});

describe('resizing', () => {
  it.each(Object.keys(resized))('%s has the levels of PIL', (key) => {
    const [size, name] = splitKey(key);
    const ours = resize(toImage(take(decoded, name)), { width: size, height: size });
    expect(absoluteError(ours.data, take(resized, key))).toBe(0);
  });
});

describe('pixel values', () => {
  it.each(Object.keys(hf))('%s, decoded and resized here, equal those of BlipImageProcessor', async (key) => {
    const [size, name] = splitKey(key);
    const ours = pixelValues([await decode(name)], processorOf(size));
    expect(ours.shape).toEqual([1, ...take(hf, key).shape]);
    expect(absoluteError(ours, take(hf, key))).toBeLessThan(2e-6);
  });
  it.each(Object.keys(lavis))("%s are within rounding of LAVIS's transform", async (key) => {
    const [size, name] = splitKey(key);
    expect(absoluteError(pixelValues([await decode(name)], processorOf(size)), take(lavis, key))).toBeLessThan(4e-6);
  });
});

// Not part of the golden sets: the picture that the DINOv2 test vector beside them was computed from.
const dolphin = resolve('../shared/dataset/images/emoji/noto/1f42c.webp');

it.skipIf(!existsSync(dolphin))('"fit" gives the dolphin of the DINOv2 test vector', async () => {
  const vector = await Checkpoint.open(resolve('../shared/dinov2-small/test_vector.safetensors'));
  const expected = take(await vector.readAll(), 'pixel_values');
  const [, channels, height, width] = expected.shape;
  const processor = parseImageProcessor({
    image_processor_type: 'BitImageProcessor',
    do_fit: true,
    do_center_crop: false,
    size: { height, width },
    resample: 3,
    image_mean: [0.485, 0.456, 0.406],
    image_std: [0.229, 0.224, 0.225],
  });
  const ours = normalise([await readModelImage(dolphin, processor)], processor);
  const row = toFloat32(expected).subarray(0, channels! * height! * width!);
  expect(absoluteError(ours, row)).toBeLessThan(1e-6);
});
