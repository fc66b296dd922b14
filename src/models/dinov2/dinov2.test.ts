import { describe, expect, it } from 'vitest';
import { elements, floats, random, toNumbers, type Value } from '../../core/index.ts';
import { input } from '../../graph/index.ts';
import { Params } from '../../nn/index.ts';
import { compile } from '../../runtime/index.ts';
import { dinov2, dinov2HiddenStates, parseDinov2Config } from './index.ts';

const shapeOf = (p: Params, name: string) => p.declared.get(name)?.shape;

describe('the SwiGLU feed-forward', () => {
  it('is as wide as in facebook/dinov2-giant', () => {
    const p = new Params();
    const giant = { hidden_size: 1536, num_attention_heads: 24, num_hidden_layers: 1, use_swiglu_ffn: true };
    dinov2(p, input('pixel_values', 'float32', [1, 3, 28, 28]), parseDinov2Config(giant));
    expect(shapeOf(p, 'encoder.layer.0.mlp.weights_in.weight')).toEqual([8192, 1536]);
    expect(shapeOf(p, 'encoder.layer.0.mlp.weights_out.weight')).toEqual([1536, 4096]);
    expect(shapeOf(p, 'encoder.layer.0.mlp.fc1.weight')).toBeUndefined();
  });

  it('gates its second half with the SiLU of its first', async () => {
    const config = parseDinov2Config({
      ...{ hidden_size: 4, num_attention_heads: 2, num_hidden_layers: 1, image_size: 4, patch_size: 2 },
      ...{ mlp_ratio: 3, use_swiglu_ffn: true },
    });
    const p = new Params();
    const [before, after] = dinov2HiddenStates(p, input('pixel_values', 'float32', [1, 3, 4, 4]), config);
    const feeds: Record<string, Value> = { pixel_values: noise([1, 3, 4, 4], 'pixels') };
    for (const [name, { shape }] of p.declared) feeds[name] = noise(shape.map(Number), name);
    feeds['encoder.layer.0.layer_scale1.lambda1'] = floats([4], [0, 0, 0, 0]); // no attention
    const session = await compile({ before: before!, after: after! });
    const out = await session.run(feeds);

    const get = (name: string) => toNumbers(feeds[`encoder.layer.0.${name}`]!);
    const [scale, shift, gain] = [get('norm2.weight'), get('norm2.bias'), get('layer_scale2.lambda1')];
    const rows = chunk(toNumbers(out.before), 4);
    const expected = rows.flatMap((x) => {
      const normalised = normalise(x, config.layer_norm_eps).map((v, i) => v * scale[i]! + shift[i]!);
      const inner = affine(normalised, get('mlp.weights_in.weight'), get('mlp.weights_in.bias'));
      const half = inner.length / 2;
      const gated = inner.slice(0, half).map((v, i) => (v / (1 + Math.exp(-v))) * inner[half + i]!);
      const y = affine(gated, get('mlp.weights_out.weight'), get('mlp.weights_out.bias'));
      return x.map((v, i) => v + gain[i]! * y[i]!);
    });
    expect(get('mlp.weights_in.bias')).toHaveLength(16); // 4 · 3 · 2/3 = 8, twice
    toNumbers(out.after).forEach((v, i) => {
      expect(v).toBeCloseTo(expected[i]!, 3);
    });
  });
});

describe('options of the configuration', () => {
  it('declare a mask token and projection biases only where the checkpoint has them', () => {
    const p = new Params();
    const config = parseDinov2Config({ use_mask_token: false, qkv_bias: false });
    dinov2(p, input('pixel_values', 'float32', ['batch', 3, 224, 224]), config);
    expect(p.declared.has('embeddings.mask_token')).toBe(false);
    expect(p.declared.has('encoder.layer.0.attention.attention.query.weight')).toBe(true);
    expect(p.declared.has('encoder.layer.0.attention.attention.query.bias')).toBe(false);
    expect(p.declared.has('encoder.layer.0.attention.output.dense.bias')).toBe(true);
  });
});

function noise(shape: readonly number[], name: string): Value {
  const draws = random(1, name);
  return floats(
    shape,
    Float32Array.from({ length: elements(shape) }, () => draws.normal()),
  );
}

const chunk = (x: readonly number[], size: number): number[][] =>
  Array.from({ length: x.length / size }, (_, i) => x.slice(i * size, (i + 1) * size));

/** W x + b, W [out, in]. */
const affine = (x: readonly number[], weight: readonly number[], bias: readonly number[]): number[] =>
  chunk(weight, x.length).map((row, i) => row.reduce((sum, w, j) => sum + w * x[j]!, bias[i]!));

function normalise(x: readonly number[], epsilon: number): number[] {
  const mean = x.reduce((sum, v) => sum + v, 0) / x.length;
  const variance = x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / x.length;
  return x.map((v) => (v - mean) / Math.sqrt(variance + epsilon));
}
