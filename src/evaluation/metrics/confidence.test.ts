import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { random } from '../../core/index.ts';
import { pairedBootstrap, wilsonInterval } from './index.ts';

describe('the Wilson interval', () => {
  it('has the published bounds (Newcombe, Statistics in Medicine 1998, table I)', () => {
    const rounded = (successes: number, trials: number) => {
      const { low, high } = wilsonInterval(successes, trials);
      return [Number(low.toFixed(4)), Number(high.toFixed(4))];
    };
    expect(rounded(81, 263)).toEqual([0.2553, 0.3662]);
    expect(rounded(15, 148)).toEqual([0.0624, 0.1605]);
    expect(rounded(0, 20)).toEqual([0, 0.1611]);
    expect(rounded(1, 29)).toEqual([0.0061, 0.1718]);
  });

  it('holds the proportion, stays in [0, 1] and mirrors', () => {
    const counts = fc
      .integer({ min: 1, max: 500 })
      .chain((n) => fc.tuple(fc.integer({ min: 0, max: n }), fc.constant(n)));
    fc.assert(
      fc.property(counts, ([k, n]) => {
        const { low, high } = wilsonInterval(k, n);
        expect(low).toBeGreaterThanOrEqual(0);
        expect(low).toBeLessThanOrEqual(k / n);
        expect(high).toBeGreaterThanOrEqual(k / n);
        expect(high).toBeLessThanOrEqual(1);
        expect(wilsonInterval(n - k, n).low).toBeCloseTo(1 - high, 12);
      }),
    );
  });

  it('refuses counts that are no proportion', () => {
    expect(() => wilsonInterval(3, 2)).toThrow('found 3 of 2');
    expect(() => wilsonInterval(0, 0)).toThrow('found 0 of 0');
  });
});

describe('the paired bootstrap', () => {
  const draws = random(1, 'scores');
  const b = Array.from({ length: 400 }, () => draws.normal());
  const a = b.map((score) => score + 0.2 + draws.normal());

  it('agrees with the normal approximation on many items', () => {
    const differences = a.map((score, i) => score - b[i]!);
    const mean = differences.reduce((sum, d) => sum + d, 0) / differences.length;
    const variance = differences.reduce((sum, d) => sum + (d - mean) ** 2, 0) / (differences.length - 1);
    const half = 1.96 * Math.sqrt(variance / differences.length);
    const { difference, low, high } = pairedBootstrap(a, b, { seed: 7 });
    expect(difference).toBeCloseTo(mean, 12);
    expect(Math.abs(low - (mean - half))).toBeLessThan(0.1 * half);
    expect(Math.abs(high - (mean + half))).toBeLessThan(0.1 * half);
  });

  it('is the same for the same seed, and turns round with its arguments', () => {
    const forward = pairedBootstrap(a, b, { seed: 7 });
    expect(pairedBootstrap(a, b, { seed: 7 })).toEqual(forward);
    const backward = pairedBootstrap(b, a, { seed: 7 });
    expect(backward.low).toBeCloseTo(-forward.high, 12);
    expect(backward.probabilityPositive).toBeCloseTo(1 - forward.probabilityPositive, 12);
  });

  it('sees no difference between a system and itself', () => {
    expect(pairedBootstrap(a, a, { seed: 7 })).toEqual({ difference: 0, low: 0, high: 0, probabilityPositive: 0 });
  });

  it('refuses scores that do not pair up', () => {
    expect(() => pairedBootstrap([1], [1, 2], { seed: 7 })).toThrow('found 1 and 2');
  });
});
