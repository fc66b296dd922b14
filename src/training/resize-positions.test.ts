import { expect, it } from 'vitest';
import { elements, floats, random, toNumbers, type Value } from '../core/index.ts';
import { input } from '../graph/index.ts';
import { imageEncoder } from '../models/index.ts';
import { Params } from '../nn/index.ts';
import { compile } from '../runtime/index.ts';
import { withPositionsFor } from './resize-positions.ts';

const size = { hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 8, patch_size: 4 };

it.each([
  { model_type: 'dinov2' },
  { model_type: 'blip_2_vision_model' },
  { model_type: 'clip_vision_model', position_align_corners: true },
])('sees larger pictures as with interpolated positions: $model_type', async (family) => {
  const sized = (image_size: number): Record<string, unknown> => ({ ...size, ...family, image_size });
  const trained = imageEncoder(sized(12));
  const pixels = noise([1, 3, 20, 20], 'pixels');
  const p = new Params();
  const features = trained.encode(p, input('pixels', 'float32', pixels.shape));
  const weights = new Map([...p.declared].map(([name, { shape }]) => [name, noise(shape.map(Number), name)]));
  const interpolated = await run(features, { ...Object.fromEntries(weights), pixels });

  const larger = imageEncoder(sized(20));
  const resized = await withPositionsFor(larger, weights);
  expect(resized.get(larger.positions.name)!.shape.at(-2)).toBe(1 + 5 * 5);
  const again = larger.encode(new Params(), input('pixels', 'float32', pixels.shape));
  const own = await run(again, { ...Object.fromEntries(resized), pixels });
  own.forEach((x, i) => {
    expect(x).toBeCloseTo(interpolated[i]!, 5);
  });
  expect(await withPositionsFor(trained, weights)).toBe(weights);
});

async function run(y: Parameters<typeof compile>[0][string], feeds: Record<string, Value>): Promise<number[]> {
  const session = await compile({ y });
  const { y: result } = await session.run(feeds);
  await session.release();
  return toNumbers(result!);
}

function noise(shape: readonly number[], name: string): Value {
  const draws = random(1, name);
  return floats(
    shape,
    Float32Array.from({ length: elements(shape) }, () => draws.normal()),
  );
}
