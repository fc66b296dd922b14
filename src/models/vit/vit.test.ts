import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigError, floats, ShapeError, toNumbers, type Value } from '../../core/index.ts';
import { constant, input, type Tensor } from '../../graph/index.ts';
import { compile } from '../../runtime/index.ts';
import { imageEncoder } from '../image-encoders.ts';
import { interpolatePositions, parseVitConfig, patchGrid, poolPatches } from './index.ts';

async function evaluate(output: Tensor): Promise<Value> {
  const session = await compile({ output });
  return (await session.run({})).output;
}

/** A position table of width 1: the class token's entry, then a square grid's, row by row. */
const table = (classToken: number, grid: readonly number[]): Tensor =>
  constant(floats([1, 1 + grid.length, 1], [classToken, ...grid]));

const side = fc.integer({ min: 1, max: 6 });
const entries = fc.float({ min: -1, max: 1, noNaN: true });

describe('interpolatePositions', () => {
  const cases = fc.record({
    grid: side.chain((s) => fc.array(entries, { minLength: s * s, maxLength: s * s })),
    rows: side,
    columns: side,
    alignCorners: fc.boolean(),
  });

  it('leaves the class token and equal positions as they are', () =>
    fc.assert(
      fc.asyncProperty(cases, async ({ grid, rows, columns, alignCorners }) => {
        const equal = table(
          7,
          grid.map(() => 0.5),
        );
        const [classToken, ...patches] = toNumbers(
          await evaluate(interpolatePositions(equal, [rows, columns], { alignCorners })),
        );
        expect(classToken).toBe(7);
        expect(patches).toHaveLength(rows * columns);
        for (const patch of patches) expect(patch).toBeCloseTo(0.5, 5);
      }),
      { numRuns: 30 },
    ));

  it('treats rows and columns alike', () =>
    fc.assert(
      fc.asyncProperty(cases, async ({ grid, rows, columns, alignCorners }) => {
        const s = Math.sqrt(grid.length);
        const turned = grid.map((_, i) => grid[(i % s) * s + Math.floor(i / s)]!);
        const wide = toNumbers(await evaluate(interpolatePositions(table(0, grid), [rows, columns], { alignCorners })));
        const tall = toNumbers(
          await evaluate(interpolatePositions(table(0, turned), [columns, rows], { alignCorners })),
        );
        for (let r = 0; r < rows; r++) {
          for (let c = 0; c < columns; c++) {
            expect(wide[1 + r * columns + c]).toBeCloseTo(tall[1 + c * rows + r]!, 5);
          }
        }
      }),
      { numRuns: 30 },
    ));

  it('keeps the corners where they are aligned', async () => {
    const corners = table(0, [1, 0, 2, 0, 0, 0, 3, 0, 4]);
    const wide = toNumbers(await evaluate(interpolatePositions(corners, [5, 7], { alignCorners: true })));
    expect([wide[1], wide[7], wide[1 + 28], wide[35]]).toEqual([1, 2, 3, 4]);
  });
});

describe('poolPatches', () => {
  it('averages squares of patches, row by row, behind the class token', async () => {
    const embeds = constant(floats([1, 9, 1], [100, 1, 2, 3, 4, 5, 6, 7, 8])); // 2 rows of 4
    const pooled = await evaluate(poolPatches(embeds, { factor: 2, prefixTokens: 1, grid: [2, 4] }));
    expect(pooled.shape).toEqual([1, 3, 1]);
    expect(toNumbers(pooled)).toEqual([100, (1 + 2 + 5 + 6) / 4, (3 + 4 + 7 + 8) / 4]);
  });

  it.each([
    [0, []],
    [3, [100, 101, 102]],
  ])('leaves %i tokens before the patches as they are', async (prefixTokens, before) => {
    const embeds = constant(floats([1, before.length + 4, 1], [...before, 1, 2, 3, 4]));
    const pooled = await evaluate(poolPatches(embeds, { factor: 2, prefixTokens }));
    expect(toNumbers(pooled)).toEqual([...before, 2.5]);
  });

  it('refuses grids that the squares do not fill', () => {
    const embeds = input('embeds', 'float32', ['batch', 10, 4]);
    expect(() => poolPatches(embeds, { factor: 2, prefixTokens: 1 })).toThrow(
      new ShapeError(
        'image_feature_pooling: expected a divisor of the rows and columns of patches, ' +
          'found 9 patches in 3 rows, which squares of 2 x 2 do not fill',
      ),
    );
    expect(() => poolPatches(embeds, { factor: 1, prefixTokens: 1, grid: [2, 4] })).toThrow(ShapeError);
  });
});

describe('image sizes and configurations', () => {
  it('names an image that the patches do not fill', () => {
    const image = input('pixel_values', 'float32', ['batch', 3, 224, 230]);
    expect(() => patchGrid(image, 14)).toThrow('an image of 224 x 230 is not a whole number of 14-pixel patches');
  });

  it("fills in what BLIP-2's checkpoints leave out", () => {
    expect(parseVitConfig({ model_type: 'blip_2_vision_model' })).toMatchObject({
      hidden_size: 1408,
      num_hidden_layers: 39,
      intermediate_size: 6144,
      layer_norm_eps: 1e-6,
    });
  });

  it.each([
    [{ hidden_size: '24' }, /vision_config: hidden_size: .*number/],
    [{ hidden_act: 'gelu_fast' }, /hidden_act: expected relu, gelu, .*found "gelu_fast"/],
    [{ hidden_size: 25 }, /hidden_size: expected a multiple of num_attention_heads 16, found 25/],
    [{ image_size: 225 }, /image_size: expected a multiple of patch_size 14, found 225/],
  ])('names the field that is wrong in %j', (json, message) => {
    expect(() => parseVitConfig(json)).toThrow(ConfigError);
    expect(() => parseVitConfig(json)).toThrow(message);
  });

  it('names the model type that it does not know, and the nearest one', () => {
    expect(() => imageEncoder({ model_type: 'dinov3' })).toThrow(/found "dinov3"; did you mean dinov2\?/);
    expect(() => imageEncoder({})).toThrow(ConfigError);
  });
});
