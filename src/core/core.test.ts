import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addDims,
  bfloatToFloat,
  bindDim,
  floatToBfloat,
  floatToHalf,
  halfToFloat,
  mulDims,
  nearest,
  philox,
  random,
  subDims,
} from './index.ts';

describe('dimensions', () => {
  it('are canonical polynomials', () => {
    expect(addDims('past', 1)).toBe('past + 1');
    expect(subDims(addDims('past', 'sequence'), 'past')).toBe('sequence');
    expect(mulDims(addDims('past', 1), 2)).toBe('2*past + 2');
    expect(mulDims('sequence', 'batch')).toBe('batch*sequence');
  });
  it('commute with binding', () => {
    const dim = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constantFrom('a', 'b', 'a + 1', '2*a*b'));
    fc.assert(
      fc.property(dim, dim, fc.nat(9), fc.nat(9), (x, y, a, b) => {
        const bind = (d: string | number) => Number(bindDim(d, { a, b }));
        expect(bind(addDims(x, y))).toBe(bind(x) + bind(y));
        expect(bind(mulDims(x, y))).toBe(bind(x) * bind(y));
        expect(bind(subDims(x, y))).toBe(bind(x) - bind(y));
      }),
    );
  });
});

describe('random', () => {
  it("is Philox-4x32-10: the known answers of Random123's test vectors", () => {
    const words = (counter: [number, number, number, number], key: [number, number]) => {
      const out = new Uint32Array(4);
      philox(out, 0, counter, key);
      return [...out].map((w) => w.toString(16).padStart(8, '0')).join(' ');
    };
    const ones = 0xffffffff;
    expect(words([0, 0, 0, 0], [0, 0])).toBe('6627e8d5 e169c58d bc57ac4c 9b00dbd8');
    expect(words([ones, ones, ones, ones], [ones, ones])).toBe('408f276d 41c83b0e a20bc7c6 6d5451fd');
    expect(words([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0])).toBe(
      'd16cfe09 94fdcceb 5001e420 24126ea1',
    );
  });
  it('repeats by seed and path, and differs between them', () => {
    const draw = (seed: number, ...path: (string | number)[]) =>
      Array.from({ length: 8 }, () => random(seed, ...path).uint32());
    expect(draw(1, 'a', 2)).toEqual(draw(1, 'a', 2));
    expect(draw(1, 'a', 2)).not.toEqual(draw(1, 'a', 3));
    expect(draw(1, 'a', 2)).not.toEqual(draw(2, 'a', 2));
  });
  it('has the moments of its distributions', () => {
    const r = random(3, 'moments');
    const mean = (f: () => number) => Array.from({ length: 20_000 }, f).reduce((a, b) => a + b, 0) / 20_000;
    expect(mean(() => r.uniform())).toBeCloseTo(0.5, 1);
    expect(mean(() => r.normal())).toBeCloseTo(0, 1);
    expect(mean(() => r.normal() ** 2)).toBeCloseTo(1, 1);
    expect(mean(() => r.gumbel())).toBeCloseTo(0.5772, 1);
  });
});

describe('half floats', () => {
  it('every half survives the round trip', () => {
    const all = Uint16Array.from({ length: 65_536 }, (_, i) => i).filter(
      (h) => (h & 0x7c00) !== 0x7c00 || (h & 0x3ff) === 0,
    );
    expect(floatToHalf(halfToFloat(all))).toEqual(all);
    expect(floatToBfloat(bfloatToFloat(all))).toEqual(all);
  });
  it('rounds to nearest, ties to even', () => {
    expect(floatToHalf(Float32Array.of(1 + 2 ** -11, 1 + 3 * 2 ** -11, 65_520, 2 ** -25))).toEqual(
      Uint16Array.of(0x3c00, 0x3c02, 0x7c00, 0),
    );
  });
});

it('suggests the nearest known word, and nothing for a far one', () => {
  expect(nearest('batch_size_trian', ['batch_size_train', 'seed'])).toBe('batch_size_train');
  expect(nearest('xyzzy', ['batch_size_train', 'seed'])).toBeUndefined();
});
