import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type RawImage, type Resample, resize } from './index.ts';

const image = (width: number, height: number, channels: 3 | 4, hex: string): RawImage => ({
  width,
  height,
  channels,
  data: new Uint8Array(Buffer.from(hex, 'hex')),
});

/** Random pixels and what Pillow 13.0's `Image.resize` makes of them: with alpha, shrinking, growing, both at once. */
const pillow: { from: RawImage; to: { width: number; height: number }; resample: Resample; expected: string }[] = [
  {
    from: image(
      5,
      4,
      4,
      'a8e5b8abeeab1400f599cc052535d5cec0ad06783f60ec83760457a17c472a49ed10c2fa0a67ce008f02264785762400c423399232b39100ce358d21b527970bb48a4200a5627b0c90b818268101ca00',
    ),
    to: { width: 3, height: 3 },
    resample: 'bicubic',
    expected: '8caeb06f6619ae4685568a995c23825eb81c5c74fa0cc43ddf000008b84f2b1d7fd4000c',
  },
  {
    from: image(
      3,
      4,
      4,
      'b85d34c7f36d1eb5cdc25e00599f4e006d2fb109fa75dc800fadcc007469c96f94eb69eebb60083412b52987ef702f00',
    ),
    to: { width: 6, height: 5 },
    resample: 'bicubic',
    expected:
      'b35c36d2c35f30d1e66922cef96d1890f673001f00000000b65b3638c2612e37f46b0f32ff625939ff5ed44eff5ef15c00000000000006003f1fff18928fc757b2bb97b1b9c48fdad74e000d7869692251719861649e899184df6bab90f55fbbe34b002f768414491fb1218007bb256d00ae0d1300000000',
  },
  {
    from: image(
      4,
      9,
      4,
      'bee99fc450a6b8030b815550f3c2e7006c1a0bdfd5adf8158373d1d7731f4dd81c1e0a749e6e2d5ea649fafaf93d76f3973b5eade3bb40009983d035beaabaeffc58cf44af7c608e0f94b5ac4582793dec4eae5081cfcdbd8d848900eacda4aca344d0f1a21228af4cb86ca57931bd761cefc7f748b0cd000b91185b32a71400869a9ea79b376a0018d58a299f7a35b1',
    ),
    to: { width: 3, height: 2 },
    resample: 'bilinear',
    expected: '8658527f8372b26ba76096a4827fab966686735f8c8c876d',
  },
  {
    from: image(
      6,
      3,
      3,
      '65045e92413bc9239fc38c523673f086813efbfea68f1542c178648c2403e57d44deb780a7e89e8dacbf5cb462fd331bb1721ffb86b7',
    ),
    to: { width: 2, height: 5 },
    resample: 'bilinear',
    expected: '9b3460807392a64a5e9d7474b66a5cc97547a29378cb724a95ae8bcc704c',
  },
  {
    from: image(
      3,
      8,
      3,
      '7d8e98c457a458478ee7d9708bac7672bb381a4fd87fa80e1eb280beebe8b300407b16c372f9f531240b9fa45d067857dc6f7c3c56d798ed05b47c79ad3bc5e3589ca030581d027b',
    ),
    to: { width: 4, height: 3 },
    resample: 'bicubic',
    expected: '94a0a09f917c828966508c6b66ced87c6d637f464b6f72a087a64fa77a5d9749866032b0',
  },
];

describe('resize', () => {
  it.each(pillow)('$resample, $from.channels channels, equals Pillow', ({ from, to, resample, expected }) => {
    const resized = resize(from, to, resample);
    expect(resized).toMatchObject({ ...to, channels: from.channels });
    expect(Buffer.from(resized.data).toString('hex')).toBe(expected);
  });

  it('keeps a uniform colour', () => {
    const side = fc.integer({ min: 1, max: 40 });
    fc.assert(
      fc.property(side, side, side, side, fc.nat(255), (w, h, width, height, level) => {
        const plain: RawImage = { width: w, height: h, channels: 3, data: new Uint8Array(w * h * 3).fill(level) };
        expect(new Set(resize(plain, { width, height }).data)).toEqual(new Set([level]));
      }),
    );
  });
});
