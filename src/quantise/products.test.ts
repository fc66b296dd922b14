import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { floats, random, toFloat32, value } from '../core/index.ts';
import { input, type Tensor } from '../graph/index.ts';
import { compile } from '../runtime/index.ts';
import { formatError, formats, partNames } from './formats.ts';
import { declare } from './linear-layers.ts';
import type { Parts } from './pack.ts';
import type { Format } from './policy.ts';
import { preciseProduct, roundedProduct } from './products.ts';

interface Case {
  readonly rows: number;
  readonly width: number;
  readonly out: number;
  readonly x: Float32Array;
  readonly weight: Float32Array;
}

/** Normal numbers; one row of x and one column are 100 times as large where asked. */
function draw(seed: number, size: Pick<Case, 'rows' | 'width' | 'out'>, outliers: { row?: boolean; column?: boolean }) {
  const { rows, width, out } = size;
  const r = random(seed, 'product');
  const gain = (row: number, column: number) =>
    (outliers.row && row === 0 ? 100 : 1) * (outliers.column && column === 1 ? 100 : 1);
  const x = Float32Array.from({ length: rows * width }, (_, i) => r.normal() * gain(Math.floor(i / width), i % width));
  const weight = Float32Array.from({ length: out * width }, () => r.normal() / 10);
  return { ...size, x, weight };
}

/** What `product` gives with the weight in a format, and the weight [out, width] that the packed one stands for. */
async function run(c: Case, format: Format, product: (x: Tensor, parts: Parts<Tensor>) => Tensor) {
  const layer = { name: 'layer.weight', out: c.out, width: c.width };
  const scales = formats[format].scales(c.weight, layer);
  const packed = formats[format].pack(c.weight, scales, layer);
  const types = formats[format].types(layer);
  const parts = declare(layer, format);
  const names = partNames('layer.weight', format);
  const bound = new Map([
    [names.weight, packed],
    [names.scale, floats(types.scale.shape.map(Number), scales)],
  ]);
  const x = input('x', 'float32', ['rows', c.width]);
  const session = await compile({ y: product(x, parts) }, (name) => bound.get(name));
  const { y } = await session.run({ x: value('float32', [c.rows, c.width], c.x) });
  await session.release();
  const level = (row: number, i: number) => {
    if (format === 'int8') return Number(packed.data[i * c.out + row]);
    if (format === 'int16') {
      const [coarse, fine] = [row, c.out + row].map((column) => Number(packed.data[i * 2 * c.out + column]));
      return coarse! + fine! / 254;
    }
    const byte = Number(packed.data[(row * c.width + i) >> 1]);
    return (i % 2 === 0 ? byte % 16 : byte >> 4) - 8;
  };
  const group = c.weight.length / scales.length;
  const kept = Float64Array.from(c.weight, (_, at) => {
    return level(Math.floor(at / c.width), at % c.width) * scales[Math.floor(at / group)]!;
  });
  return { y: toFloat32(y), kept, group };
}

/** Σ over the width of f(x, w), in float64: [rows, out]. */
const sums = (c: Case, weight: ArrayLike<number>, f: (x: number, w: number) => number): number[] =>
  Array.from({ length: c.rows * c.out }, (_, at) => {
    const [row, column] = [Math.floor(at / c.out), at % c.out];
    let sum = 0;
    for (let i = 0; i < c.width; i++) sum += f(c.x[row * c.width + i]!, weight[column * c.width + i]!);
    return sum;
  });

const largestOfRow = (c: Case, row: number): number =>
  c.x.subarray(row * c.width, (row + 1) * c.width).reduce((max, x) => Math.max(max, Math.abs(x)), 0);

const relativeError = (y: ArrayLike<number>, exact: readonly number[]): number => {
  const moved = exact.reduce((sum, e, i) => sum + (y[i]! - e) ** 2, 0);
  return Math.sqrt(moved / exact.reduce((sum, e) => sum + e ** 2, 0));
};

describe.each([
  ['of rows in 8 bits', roundedProduct, 1 / 127 / 2],
  ['of rows in 16 bits', preciseProduct, 1 / 127 / 2 / 254],
] as const)('an int8 product %s', (_, product, halfStep) => {
  it('is that of the kept weights and of rows that are rounded by half a step at most', async () => {
    const size = fc.record({
      rows: fc.integer({ min: 1, max: 5 }),
      width: fc.integer({ min: 1, max: 70 }),
      out: fc.integer({ min: 1, max: 70 }),
    });
    const outliers = fc.record({ row: fc.boolean(), column: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.nat(), size, outliers, async (seed, sizes, extremes) => {
        const c = draw(seed, sizes, extremes);
        const { y, kept } = await run(c, 'int8', product);
        const exact = sums(c, kept, (x, w) => x * w);
        const weights = sums(c, kept, (_, w) => Math.abs(w));
        exact.forEach((e, at) => {
          const largest = largestOfRow(c, Math.floor(at / c.out));
          const allowed = largest * weights[at]! * (halfStep * 1.01 + 1e-6);
          expect(Math.abs(y[at]! - e)).toBeLessThanOrEqual(allowed + 1e-30);
        });
      }),
      { numRuns: 20 },
    );
  });

  it('is 0 for a row of zeros', async () => {
    const c = {
      rows: 2,
      width: 3,
      out: 2,
      x: Float32Array.of(0, 0, 0, 1, 2, 3),
      weight: Float32Array.of(1, 1, 1, 0, 0, 0),
    };
    const { y } = await run(c, 'int8', product);
    expect(y.subarray(0, 2).every((v) => v === 0)).toBe(true);
    expect(y[2]).toBeCloseTo(6, 4);
    expect(y[3]).toBe(0);
  });

  it('errs by less than 2 % where a row is 100 times as large as the others, in the others too', async () => {
    const c = draw(3, { rows: 4, width: 256, out: 64 }, { row: true });
    const { y } = await run(c, 'int8', product);
    const exact = sums(c, c.weight, (x, w) => x * w);
    expect(relativeError(y.subarray(0, 64), exact.slice(0, 64))).toBeLessThan(0.02);
    expect(relativeError(y.subarray(64), exact.slice(64))).toBeLessThan(0.02);
  });
});

it('rows in 16 bits err by less than 2 % where a column is 100 times as large as the others; 8 bits do not suffice', async () => {
  const c = draw(4, { rows: 4, width: 256, out: 64 }, { row: true, column: true });
  const exact = sums(c, c.weight, (x, w) => x * w);
  expect(relativeError((await run(c, 'int8', preciseProduct)).y, exact)).toBeLessThan(0.02);
  expect(relativeError((await run(c, 'int8', roundedProduct)).y, exact)).toBeGreaterThan(0.02);
});

it('an int16 product is that of weights and rows that are rounded by half a step at most', async () => {
  const size = fc.record({
    rows: fc.integer({ min: 1, max: 5 }),
    width: fc.integer({ min: 1, max: 70 }),
    out: fc.integer({ min: 1, max: 70 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.nat(), size, async (seed, sizes) => {
      const c = draw(seed, sizes, {});
      const { y, kept } = await run(c, 'int16', (x, parts) => formats.int16.product(x, parts, { name: '', ...c }));
      kept.forEach((w, at) => {
        const row = at - (at % c.width);
        const largest = Math.max(...c.weight.subarray(row, row + c.width).map(Math.abs));
        expect(Math.abs(w - c.weight[at]!)).toBeLessThanOrEqual(((largest / 127) * 1.001) / 254 / 2);
      });
      const exact = sums(c, kept, (x, w) => x * w);
      const weights = sums(c, kept, (_, w) => Math.abs(w));
      exact.forEach((e, at) => {
        const halfStep = largestOfRow(c, Math.floor(at / c.out)) / 127 / 2 / 254;
        expect(Math.abs(y[at]! - e)).toBeLessThanOrEqual(weights[at]! * (halfStep * 1.01 + 1e-6) + 1e-30);
      });
    }),
    { numRuns: 15 },
  );
});

it('16 bits move a weight by 254 times less than eight', () => {
  const { weight } = draw(5, { rows: 1, width: 64, out: 32 }, {});
  const layer = { name: '', width: 64, out: 32 };
  expect(formatError('int8', weight, layer) / formatError('int16', weight, layer)).toBeCloseTo(254, -2);
});

it('an int4 product is that of the kept weights, and of rows that are rounded block by block', async () => {
  const sizes = fc.record({
    rows: fc.integer({ min: 1, max: 4 }),
    width: fc.constantFrom(16, 32, 48, 192, 256),
    out: fc.integer({ min: 1, max: 40 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.nat(), sizes, async (seed, size) => {
      const c = draw(seed, size, {});
      const { y, kept, group } = await run(c, 'int4', (x, parts) => formats.int4.product(x, parts, { name: '', ...c }));
      const exact = sums(c, kept, (x, w) => x * w);
      const weights = sums(c, kept, (_, w) => Math.abs(w));
      exact.forEach((e, at) => {
        const halfStep = largestOfRow(c, Math.floor(at / c.out)) / 127 / 2;
        expect(Math.abs(y[at]! - e)).toBeLessThanOrEqual(halfStep * weights[at]! * 1.01 + 1e-5);
      });
      kept.forEach((w, at) => {
        const start = at - (at % group);
        const largest = Math.max(...c.weight.subarray(start, start + group).map(Math.abs));
        expect(Math.abs(w - c.weight[at]!)).toBeLessThanOrEqual(largest / 8 + 1e-6); // half a step, or what -8 … 7 cuts off
      });
    }),
    { numRuns: 15 },
  );
});
