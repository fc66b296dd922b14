import { describe, expect, it } from 'vitest';
import { elements, floats, int64s, random, toNumbers, type Value } from '../../src/core/index.ts';
import { differentiate, input, mul, reduceSum, type Tensor } from '../../src/graph/index.ts';
import { Checkpoint } from '../../src/hub/index.ts';
import { imageEncoder, imageEncoders } from '../../src/models/image-encoders.ts';
import { Params } from '../../src/nn/index.ts';
import { compile, weightsFrom } from '../../src/runtime/index.ts';
import { absoluteError, goldenPath, magnitude, readJson, take } from '../golden/fixtures.ts';

/** What every image encoder promises, checked on a small checkpoint that Hugging Face wrote. */
interface Sample {
  /** A folder of the fixtures. */
  checkpoint: string;
  /** Where the encoder begins in the checkpoint's state dict; '' is its top. */
  root: string;
  /** Parameters that BLIP-2 adds and Hugging Face's model does not have, with their shapes from its width. */
  added?: (width: number) => Record<string, number[]>;
}

const samples: Record<keyof typeof imageEncoders, Sample> = {
  blip_2_vision_model: { checkpoint: 'checkpoints/blip2-opt', root: 'vision_model' },
  instructblip_vision_model: { checkpoint: 'checkpoints/instructblip-vicuna', root: 'vision_model' },
  clip_vision_model: {
    checkpoint: 'vit/clip/hf',
    root: 'vision_model',
    added: (width) => ({ 'ln_vision.weight': [width], 'ln_vision.bias': [width] }),
  },
  dinov2: { checkpoint: 'vit/dinov2/hf', root: '' },
};

const noise = (shape: readonly number[], name: string): Value => {
  const draws = random(1, name);
  return floats(
    shape,
    Array.from({ length: elements(shape) }, () => draws.normal()),
  );
};

const row = (v: Value, i: number): Value => {
  const shape = [1, ...v.shape.slice(1)];
  return floats(shape, toNumbers(v).slice(i * elements(shape), (i + 1) * elements(shape)));
};

describe.each(Object.entries(samples))('%s', async (modelType, { checkpoint, root, added = () => ({}) }) => {
  const json = await readJson<{ vision_config?: object }>(`${checkpoint}/config.json`);
  const encoder = imageEncoder({ ...(json.vision_config ?? json), model_type: modelType });
  const stored = await Checkpoint.open(goldenPath(checkpoint));
  const shapes = new Map<string, readonly number[]>(
    [...stored.entries]
      .filter(([name]) => root === '' || name.startsWith(`${root}.`))
      .map(([name, { shape }]) => [name, shape]),
  );
  const additions = new Params({ path: root });
  for (const [name, shape] of Object.entries(added(encoder.width))) additions.tensor(name, shape);
  for (const [name, { shape }] of additions.declared) shapes.set(name, shape.map(Number));
  const weights = new Map<string, Value>();
  for (const [name, shape] of shapes) {
    weights.set(name, stored.entries.has(name) ? await stored.read(name) : noise(shape, name));
  }

  const imageShape = [2, 3, encoder.imageSize, encoder.imageSize];
  const pixelValues = noise(imageShape, 'pixels');
  const tokens = 1 + (encoder.imageSize / encoder.patchSize) ** 2;

  it('declares its state dict, no name and no shape else', () => {
    const p = new Params({ path: root });
    encoder.encode(p, input('pixel_values', 'float32', imageShape));
    const declared = new Map([...p.declared].map(([name, { shape }]) => [name, shape]));
    expect(Object.fromEntries(declared)).toEqual(Object.fromEntries(shapes));
  });

  it('encodes each image of a batch as if it were alone, for any batch', async () => {
    const x = input('pixel_values', 'float32', ['batch', ...imageShape.slice(1)]);
    const features = encoder.encode(new Params({ path: root }), x);
    expect(features.shape).toEqual(['batch', tokens, encoder.width]);
    const session = await compile({ features }, weightsFrom(weights));
    const both = (await session.run({ pixel_values: pixelValues })).features;
    expect(both.shape).toEqual([2, tokens, encoder.width]);
    for (const i of [0, 1]) {
      const alone = (await session.run({ pixel_values: row(pixelValues, i) })).features;
      expect(absoluteError(alone, row(both, i)), `image ${i}`).toBeLessThan(1e-5 * magnitude(both));
    }
    expect(absoluteError(row(both, 0), row(both, 1))).toBeGreaterThan(0.1);
  });

  it('has the gradient of every parameter', async () => {
    const p = new Params({ path: root });
    const features = encoder.encode(p, input('pixel_values', 'float32', imageShape));
    const probe = noise([2, tokens, encoder.width], 'probe');
    const weighted = mul(features, input('probe', 'float32', probe.shape));
    const loss = reduceSum(weighted, { axes: [0, 1, 2], keepDims: false });
    const names = [...p.declared.keys()];
    const gradients = differentiate(loss, [...p.declared.values()]);
    const outputs: Record<string, Tensor> = Object.fromEntries(names.map((name, i) => [`grad.${name}`, gradients[i]!]));
    const session = await compile({ loss, ...outputs });
    const feeds = { pixel_values: pixelValues, probe, ...Object.fromEntries(weights) };
    const found = await session.run(feeds);
    console.log(modelType, names.length);
    for (const name of names) {
      const g = take(found, `grad.${name}`);
      expect(g.shape, name).toEqual(take(feeds, name).shape);
      // Along its own gradient g the loss must rise by |g| per unit.
      const norm = Math.hypot(...toNumbers(g));
      const at = async (h: number) => {
        const values = toNumbers(take(feeds, name));
        const direction = toNumbers(g);
        const moved = floats(g.shape, values.map((v, i) => v + h * direction[i]! / norm));
        return toNumbers((await session.run({ ...feeds, [name]: moved }, { loss: null })).loss)[0]!;
      };
      const h = 1e-2;
      const slope = norm === 0 ? 0 : (await at(h) - await at(-h)) / (2 * h);
      console.log(name, norm, slope, slope / norm - 1);
    }
  });
});
