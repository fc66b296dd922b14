import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { elements, floats, int64s, random, toNumbers, type Value } from '../../src/core/index.ts';
import { constant, differentiate, gather, input, mul, reduceSum, reshape, type Tensor } from '../../src/graph/index.ts';
import { Checkpoint, readJsonObject } from '../../src/hub/index.ts';
import { imageEncoder, type imageEncoders } from '../../src/models/image-encoders.ts';
import { Params } from '../../src/nn/index.ts';
import { compile, weightsFrom } from '../../src/runtime/index.ts';
import { absoluteError, goldenPath, magnitude, take, tolerances } from '../golden/fixtures.ts';

/** A small checkpoint, written by Hugging Face, on which an image encoder keeps what every one of them promises. */
interface Sample {
  /** A folder. */
  checkpoint: string;
  /** Where the encoder begins in the checkpoint's state dict; '' is its top. */
  root: string;
  /** Parameters of BLIP-2's own that Hugging Face's model does not have, with their shapes. */
  added?: (width: number) => Record<string, number[]>;
  /** What Hugging Face's model has besides, which is not read. */
  unread?: RegExp;
}

const testdata = fileURLToPath(new URL('../../src/models/testdata/', import.meta.url));

const samples: Record<keyof typeof imageEncoders, Sample> = {
  blip_2_vision_model: { checkpoint: goldenPath('checkpoints/blip2-opt'), root: 'vision_model' },
  instructblip_vision_model: { checkpoint: goldenPath('checkpoints/instructblip-vicuna'), root: 'vision_model' },
  clip_vision_model: {
    checkpoint: goldenPath('vit/clip/hf'),
    root: 'vision_model',
    added: (width) => ({ 'vision_model.ln_vision.weight': [width], 'vision_model.ln_vision.bias': [width] }),
  },
  dinov2: { checkpoint: goldenPath('vit/dinov2/hf'), root: '' },
  dinov2_with_registers: { checkpoint: `${testdata}dinov2_with_registers`, root: '' },
  siglip_vision_model: {
    checkpoint: `${testdata}siglip_vision_model`,
    root: 'vision_model',
    unread: /^vision_model\.head\./,
  },
};

function noise(shape: readonly number[], name: string): Value {
  const draws = random(1, name);
  const data = Float32Array.from({ length: elements(shape) }, () => draws.normal());
  return floats(shape, data);
}

/** One entry of a batch, as a batch of one. */
function entry(batch: Value, i: number): Value {
  const shape = [1, ...batch.shape.slice(1)];
  const size = elements(shape);
  return floats(shape, toNumbers(batch).slice(i * size, (i + 1) * size));
}

async function stateDict({ checkpoint, root, added, unread }: Sample, width: number): Promise<Map<string, Value>> {
  const stored = await Checkpoint.open(checkpoint);
  const state = new Map<string, Value>();
  for (const name of stored.entries.keys()) {
    if (name.startsWith(root) && !unread?.test(name)) state.set(name, await stored.read(name));
  }
  for (const [name, shape] of Object.entries(added?.(width) ?? {})) state.set(name, noise(shape, name));
  return state;
}

describe.each(Object.entries(samples))('%s', async (modelType, sample) => {
  const json: { vision_config?: object } = await readJsonObject(join(sample.checkpoint, 'config.json'));
  const encoder = imageEncoder({ ...(json.vision_config ?? json), model_type: modelType });
  const { imageSize, patchSize, width, prefixTokens } = encoder;
  const tokens = prefixTokens + Math.floor(imageSize / patchSize) ** 2;
  const state = await stateDict(sample, width);
  const root = () => new Params({ path: sample.root });

  it('declares its state dict: these names, these shapes, and no others', () => {
    const p = root();
    encoder.encode(p, input('pixel_values', 'float32', [1, 3, imageSize, imageSize]));
    const shapes = (entries: Iterable<[string, { shape: readonly unknown[] }]>) =>
      Object.fromEntries([...entries].map(([name, { shape }]) => [name, shape]));
    expect(shapes(p.declared)).toEqual(shapes(state));
  });

  it('encodes each image of a batch as if it were alone, whatever the batch', async () => {
    const features = encoder.encode(root(), input('pixel_values', 'float32', ['batch', 3, imageSize, imageSize]));
    expect(features.shape).toEqual(['batch', tokens, width]);
    const session = await compile({ features }, weightsFrom(state));
    const encode = async (pixelValues: Value) => (await session.run({ pixel_values: pixelValues })).features;

    const pixelValues = noise([2, 3, imageSize, imageSize], 'pixels');
    const both = await encode(pixelValues);
    expect(both.shape).toEqual([2, tokens, width]);
    const tolerance = 1e-5 * magnitude(both);
    for (const i of [0, 1]) {
      expect(absoluteError(await encode(entry(pixelValues, i)), entry(both, i)), `image ${i}`).toBeLessThan(tolerance);
    }
    expect(absoluteError(entry(both, 0), entry(both, 1))).toBeGreaterThan(100 * tolerance);
  });

  it('computes the tokens that it is left with, each with its position', async () => {
    const pixelValues = noise([1, 3, imageSize, imageSize], 'pixels');
    const pixels = input('pixel_values', 'float32', pixelValues.shape);
    const rowsAt = (places: readonly number[], x: Tensor) => {
      const rows = gather(reshape(x, { shape: [tokens, width] }), constant(int64s([places.length], places)));
      return reshape(rows, { shape: [1, places.length, width] });
    };
    const keeping = (places: readonly number[]) =>
      encoder.encode(root(), pixels, { keepTokens: (all) => rowsAt(places, all) });
    const turned = [0, ...Array.from({ length: tokens - 1 }, (_, i) => tokens - 1 - i)];
    const features = encoder.encode(root(), pixels);
    const session = await compile(
      {
        whole: rowsAt(turned, features),
        turned: keeping(turned), // attention does not see in which order its tokens stand
        part: keeping(turned.slice(0, 2)),
      },
      weightsFrom(state),
    );
    const found = await session.run({ pixel_values: pixelValues });
    const tolerance = 1e-5 * magnitude(found.whole);
    expect(absoluteError(found.turned, found.whole)).toBeLessThan(tolerance);
    expect(found.part.shape).toEqual([1, 2, width]);
    const classToken = (x: Value) => floats([width], toNumbers(x).slice(0, width));
    expect(absoluteError(classToken(found.part), classToken(found.whole))).toBeGreaterThan(100 * tolerance);
  });

  it('has a gradient for every parameter, along which the loss rises as it says', async () => {
    const pixelValues = noise([2, 3, imageSize, imageSize + patchSize], 'pixels'); // with interpolated positions
    const p = root();
    const features = encoder.encode(p, input('pixel_values', 'float32', pixelValues.shape));
    const probe = noise(features.shape.map(Number), 'probe');
    const loss = reduceSum(mul(features, input('probe', 'float32', probe.shape)), { axes: [0, 1, 2], keepDims: false });
    const names = [...p.declared.keys()];
    const gradients = differentiate(loss, [...p.declared.values()]);
    const session = await compile({
      loss,
      ...Object.fromEntries(names.map((name, i) => [`grad.${name}`, gradients[i]!])),
    });
    const feeds: Record<string, Value> = { pixel_values: pixelValues, probe, ...Object.fromEntries(state) };
    const found: Record<string, Value> = await session.run(feeds);

    for (const name of names) {
      const weight = take(feeds, name);
      const gradient = take(found, `grad.${name}`);
      expect(gradient.shape, name).toEqual(weight.shape);
      if (!session.has(name)) continue; // declared for the checkpoint's sake; the features do not depend on it

      const norm = Math.hypot(...toNumbers(gradient));
      const lossAt = async (step: number) => {
        const direction = toNumbers(gradient);
        const moved = toNumbers(weight).map((w, i) => w + (step * direction[i]!) / norm);
        const at = await session.run({ ...feeds, [name]: floats(weight.shape, moved) }, { loss: null });
        return toNumbers(at.loss)[0]!;
      };
      const slope = ((await lossAt(0.01)) - (await lossAt(-0.01))) / 0.02;
      expect(Math.abs(slope - norm), name).toBeLessThan(0.02 + 0.001 * norm);
    }
  });
});

describe('the features of transformers', async () => {
  const cases = await (await Checkpoint.open(`${testdata}image-encoders.safetensors`)).readAll();
  const sizes = Object.keys(cases).flatMap((name) => /^(\w+)\/(.+)\/pixel_values$/.exec(name)?.slice(1) ?? []);
  const pairs = Array.from({ length: sizes.length / 2 }, (_, i) => [sizes[2 * i]!, sizes[2 * i + 1]!] as const);

  it.each(pairs)('are what %s gives of an image of %s', async (modelType, size) => {
    const { checkpoint, root } = Object.entries(samples).find(([name]) => name === modelType)![1];
    const encoder = imageEncoder(await readJsonObject(join(checkpoint, 'config.json')));
    const pixelValues = take(cases, `${modelType}/${size}/pixel_values`);
    const features = encoder.encode(new Params({ path: root }), input('pixel_values', 'float32', pixelValues.shape));
    const session = await compile({ features }, weightsFrom((await Checkpoint.open(checkpoint)).entries));
    const found = (await session.run({ pixel_values: pixelValues })).features;
    const expected = take(cases, `${modelType}/${size}/last_hidden_state`);
    expect(found.shape).toEqual(expected.shape);
    expect(absoluteError(found, expected)).toBeLessThan(tolerances.forward * magnitude(expected));
  });
});
