import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DataError } from '../core/index.ts';
import { decodeImage } from './index.ts';

let folder: string;
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'decode-'));
  const noise = sharp({ create: { width: 64, height: 48, channels: 3, background: 'black', noise: gaussian } });
  await noise.clone().jpeg().toFile(at('whole.jpg'));
  await writeFile(at('cut.jpg'), (await readFile(at('whole.jpg'))).subarray(0, 900));
  await noise.clone().png().toFile(at('whole.png'));
  const png = await readFile(at('whole.png'));
  await writeFile(at('damaged.png'), png.fill(0, 200, 300));
  await writeFile(at('empty.png'), '');
  await writeFile(at('text.png'), 'not an image');
  await writeFile(at('drawing.svg'), '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>');
  await writeFile(at('phone.heic'), Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1'));
});
const gaussian = { type: 'gaussian', mean: 128, sigma: 40 } as const;
afterAll(() => rm(folder, { recursive: true }));

describe('a file that is no whole image is refused by name', () => {
  it.each([
    ['absent.jpg', /there is no such file/],
    ['.', /it is a folder/],
    ['empty.png', /found an empty file/],
    ['text.png', /expected an image \(JPEG, PNG, .*\), found something else/],
    ['drawing.svg', /expected an image \(JPEG, PNG, .*\), found something else/],
    ['phone.heic', /expected a whole HEIC image/],
    ['cut.jpg', /expected a whole JPEG image/],
    ['damaged.png', /expected a whole PNG image/],
  ])('%s', async (name, message) => {
    const error: unknown = await decodeImage(at(name)).catch((e: unknown) => e);
    if (!(error instanceof DataError)) throw new Error(`expected a DataError, found ${error}`);
    expect(error.message).toMatch(message);
    expect(error.message.startsWith(`${at(name)}: `)).toBe(true);
    expect(error.message).not.toContain('\n');
  });
  it('bytes by the name they are given', async () => {
    await expect(decodeImage(new Uint8Array(), { name: 'shard.tar/7.jpg' })).rejects.toThrow(/^shard\.tar\/7\.jpg: /);
  });
});

it('refuses more pixels than the limit', async () => {
  await expect(decodeImage(at('whole.png'), { limitInputPixels: 64 * 48 - 1 })).rejects.toThrow(/exceeds pixel limit/);
  expect(await decodeImage(at('whole.png'), { limitInputPixels: 64 * 48 })).toMatchObject({ width: 64, height: 48 });
});

it("decodes HEIC as PIL does (testdata/gradient.png is pillow-heif's reading of gradient.heic)", async () => {
  const testdata = (name: string) => join(import.meta.dirname, 'testdata', name);
  const [heic, png] = [await decodeImage(testdata('gradient.heic')), await decodeImage(testdata('gradient.png'))];
  expect(heic).toMatchObject({ width: png.width, height: png.height, channels: 3 });
  // Two builds of one decoder, whose upsampling of colour may round differently.
  for (const [i, level] of heic.data.entries()) expect(Math.abs(level - png.data[i]!)).toBeLessThanOrEqual(2);
  await expect(decodeImage(testdata('gradient.heic'), { limitInputPixels: 9 })).rejects.toThrow(/exceeds pixel limit/);
});

it('gives alpha on request, opaque where the file has none', async () => {
  const rgb = await decodeImage(at('whole.png'));
  const rgba = await decodeImage(at('whole.png'), { alpha: true });
  expect(rgba.channels).toBe(4);
  expect(rgba.data.filter((_, i) => i % 4 < 3)).toEqual(rgb.data);
  expect(new Set(rgba.data.filter((_, i) => i % 4 === 3))).toEqual(new Set([255]));
});

// A GIF of 4x1 pixels with the palette white, red, green, blue; the expected pixels are PIL's.
const [white, red, green, blue, black] = ['ffffff', 'c80000', '009600', '00005a', '000000'];
const gifHead = `47494638396104000100810000${white}${red}${green}${blue}`;
const comment = '21fe022c2100'; // its text looks like the start of a frame

it.each([
  ['by its palette', '21f9040100000100', '2c000000000400010000020404433105003b', [white, red, green, red]],
  [
    "by its frame's palette",
    `${comment}21f9040100000100`,
    `2c00000000040001008100005a009600c80000ffffff020404433105003b`,
    [blue, green, red, green],
  ],
  ['around a smaller frame', '21f9040100000100', '2c01000000020001000002020455003b', [red, white, green, red]],
  ['beyond its palette', '21f9040100000900', '2c000000000400010000040610c004030411003b', [white, black, red, white]],
])('gives what is transparent in a GIF its colour %s', async (_, extensions, frame, expected) => {
  const bytes = Buffer.from(gifHead + extensions + frame, 'hex');
  const { channels, data } = await decodeImage(bytes);
  expect([channels, Buffer.from(data).toString('hex')]).toEqual([3, expected.join('')]);
  const rgba = await decodeImage(bytes, { alpha: true });
  expect(rgba.data.filter((_, i) => i % 4 === 3)).toContain(0);
});

it('drops alpha without compositing', async () => {
  const data = Uint8Array.of(200, 100, 50, 7, 10, 20, 30, 0);
  const png = await sharp(data, { raw: { width: 2, height: 1, channels: 4 } })
    .png()
    .toBuffer();
  expect((await decodeImage(png)).data).toEqual(Uint8Array.of(200, 100, 50, 10, 20, 30));
  expect((await decodeImage(png, { alpha: true })).data).toEqual(data);
});
