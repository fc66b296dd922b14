import fc from 'fast-check';
import { expect, it } from 'vitest';
import { quantisePerChannel } from './index.ts';

it('errs by half a step of its own channel at most, whatever the other channels hold', () => {
  const value = fc.float({ min: -1000, max: 1000, noNaN: true });
  fc.assert(
    fc.property(fc.array(fc.array(value, { minLength: 3, maxLength: 3 }), { minLength: 1, maxLength: 5 }), (rows) => {
      const weight = Float32Array.from(rows.flat());
      const { int8, scales } = quantisePerChannel(weight, rows.length);
      weight.forEach((x, i) => {
        const scale = scales[Math.floor(i / 3)]!;
        expect(Math.abs(int8[i]! * scale - x)).toBeLessThanOrEqual(scale * 0.5001);
        if (x === 0) expect(int8[i]! * scale).toBe(0);
      });
    }),
  );
});
