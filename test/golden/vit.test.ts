import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { input, squeeze, type Tensor } from '../../src/graph/index.ts';
import { Checkpoint, fromLavis } from '../../src/hub/index.ts';
import { clip, clipHiddenStates, parseClipConfig } from '../../src/models/clip/index.ts';
import type { Interpolation } from '../../src/models/contracts.ts';
import { dinov2, dinov2HiddenStates, parseDinov2Config } from '../../src/models/dinov2/index.ts';
import { imageEncoder } from '../../src/models/image-encoders.ts';
import {
  interpolatePositions,
  parseVitConfig,
  patchGrid,
  poolPatches,
  vit,
  vitHiddenStates,
} from '../../src/models/vit/index.ts';
import { Params } from '../../src/nn/index.ts';
import { compile, type Weights, weightsFrom } from '../../src/runtime/index.ts';
import {
  absoluteError,
  type Fixture,
  goldenPath,
  readFixture,
  readJson,
  relativeError,
  take,
  tolerances,
} from './fixtures.ts';

const weightsOf = async (checkpoint: string) => weightsFrom((await Checkpoint.open(goldenPath(checkpoint))).entries);

const lavisWeights = async (file: string) => weightsFrom(new Map(Object.entries(fromLavis(await readFixture(file)))));

/** Runs what `write` makes of an image of the fixture, and compares every output with the fixture's of the same name. */
async function expectOutputs(
  fixture: Fixture,
  {
    weights,
    image,
    write,
  }: { weights: Weights; image: string; write: (pixelValues: Tensor) => Record<string, Tensor> },
) {
  const pixelValues = take(fixture, `in.${image}`);
  const outputs = write(input('pixel_values', 'float32', pixelValues.shape));
  expect(Object.keys(outputs).length).toBeGreaterThan(0);
  const session = await compile(outputs, weights);
  for (const [name, actual] of Object.entries(await session.run({ pixel_values: pixelValues }))) {
    const expected = take(fixture, `out.${name}`);
    expect(actual.shape, name).toEqual(expected.shape);
    expect(relativeError(actual, expected), name).toBeLessThan(tolerances.forward);
  }
}

/** `prefix0`, `prefix1`, … */
const numbered = (prefix: string, states: readonly Tensor[]) =>
  Object.fromEntries(states.map((state, i) => [`${prefix}${i}`, state]));

/** The fixture's images by the end of their names: as large as the model's, larger, not square. */
const sizesOf = (fixture: Fixture) =>
  Object.keys(fixture).flatMap((name) => /^in\.pixel_values(.*)$/.exec(name)?.slice(1) ?? []);

/** The position table `name` that the model behind `p` has asked for, for the patches of an image. */
const positionsFor = (
  x: Tensor,
  { p, name, ...options }: { p: Params; name: string; patchSize: number } & Interpolation,
) => interpolatePositions(p.declared.get(name)!, patchGrid(x, options.patchSize), options);

describe("BLIP-2's ViT", async () => {
  const fixture = await readFixture('vit/eva/io.safetensors');
  const config = parseVitConfig(await readJson('vit/eva/hf/config.json'));
  const hf = await weightsOf('vit/eva/hf');
  const lavis = await lavisWeights('vit/eva/weights_lavis.safetensors');
  const names = await readJson<{ config: { ln_vision_eps_lavis: number } }>('vit/eva/names.json');

  it.each(sizesOf(fixture))('is Blip2VisionModel on pixel_values%s', (size) =>
    expectOutputs(fixture, {
      weights: hf,
      image: `pixel_values${size}`,
      write: (x) => ({ [`hf_last_hidden_state${size}`]: vit(new Params(), x, config) }),
    }),
  );

  it('has its interpolated positions', () =>
    expectOutputs(fixture, {
      weights: hf,
      image: 'pixel_values_big',
      write: (x) => {
        const p = new Params();
        vit(p, x, config);
        const name = 'embeddings.position_embedding';
        return { position_embedding_big: positionsFor(x, { p, name, patchSize: config.patch_size }) };
      },
    }));

  it("is LAVIS's eva_vit, block by block, and its ln_vision", () =>
    expectOutputs(fixture, {
      weights: lavis,
      image: 'pixel_values',
      write: (x) => {
        const p = new Params({ path: 'vision_model' });
        const [, ...blocks] = vitHiddenStates(p, x, config);
        const lnVision = vit(p, x, { ...config, post_layernorm_eps: names.config.ln_vision_eps_lavis });
        return { ...numbered('lavis_block_', blocks), lavis_features: blocks.at(-1)!, lavis_ln_vision: lnVision };
      },
    }));

  it("is LAVIS's eva_vit on larger images", () =>
    expectOutputs(fixture, {
      weights: lavis,
      image: 'pixel_values_big',
      write: (x) => ({
        lavis_features_big: vitHiddenStates(new Params({ path: 'vision_model' }), x, config).at(-1)!,
      }),
    }));
});

describe("CLIP's ViT", async () => {
  const fixture = await readFixture('vit/clip/io.safetensors');
  const json = await readJson<object>('vit/clip/hf/config.json');
  const config = parseClipConfig(json);
  const hf = await weightsOf('vit/clip/hf');
  const lavis = await lavisWeights('vit/clip/weights_lavis.safetensors');
  /** LAVIS leaves the last layer out of the model. */
  const lavisConfig = parseClipConfig({
    ...json,
    num_hidden_layers: config.num_hidden_layers - 1,
    vision_feature_layer: -1,
    position_align_corners: true,
  });
  const root = () => new Params({ path: 'vision_model' });

  it('is CLIPVisionModel, layer by layer', () =>
    expectOutputs(fixture, {
      weights: hf,
      image: 'pixel_values',
      write: (x) => {
        const states = clipHiddenStates(root(), x, config);
        return { ...numbered('hf_hidden_states_', states), hf_last_hidden_state: states.at(-1)! };
      },
    }));

  it('is CLIPVisionModel on larger images', () =>
    expectOutputs(fixture, {
      weights: hf,
      image: 'pixel_values_big',
      write: (x) => {
        const states = clipHiddenStates(root(), x, config);
        return { hf_penultimate_big: states.at(-2)!, hf_last_hidden_state_big: states.at(-1)! };
      },
    }));

  it("is LAVIS's clip_vit without its last layer, and its ln_vision", () =>
    expectOutputs(fixture, {
      weights: lavis,
      image: 'pixel_values',
      write: (x) => ({
        lavis_features: clipHiddenStates(root(), x, lavisConfig).at(-1)!,
        lavis_ln_vision: clip(root(), x, lavisConfig),
      }),
    }));

  it('reads the last layer but one of a whole CLIP', () =>
    expectOutputs(fixture, {
      weights: (name) => hf(name) ?? lavis(name), // Hugging Face's CLIP has no ln_vision
      image: 'pixel_values',
      write: (x) => ({ lavis_ln_vision: clip(root(), x, config) }),
    }));

  it("is LAVIS's clip_vit on larger images", () =>
    expectOutputs(fixture, {
      weights: lavis,
      image: 'pixel_values_big',
      write: (x) => ({ lavis_features_big: clipHiddenStates(root(), x, lavisConfig).at(-1)! }),
    }));

  it('interpolates positions both ways', () =>
    expectOutputs(fixture, {
      weights: hf,
      image: 'pixel_values_big',
      write: (x) => {
        const p = root();
        clipHiddenStates(p, x, config);
        const table = { p, name: 'vision_model.embeddings.position_embedding.weight', patchSize: config.patch_size };
        return {
          hf_position_embedding_big: positionsFor(x, table),
          lavis_positional_embedding_big: squeeze(positionsFor(x, { ...table, alignCorners: true }), { axis: 0 }),
        };
      },
    }));
});

describe('DINOv2', async () => {
  const fixture = await readFixture('vit/dinov2/io.safetensors');
  const config = parseDinov2Config(await readJson('vit/dinov2/hf/config.json'));
  const weights = await weightsOf('vit/dinov2/hf');

  it.each(sizesOf(fixture))('is Dinov2Model on pixel_values%s', (size) =>
    expectOutputs(fixture, {
      weights,
      image: `pixel_values${size}`,
      write: (x) => ({ [`last_hidden_state${size}`]: dinov2(new Params(), x, config) }),
    }),
  );

  it('is Dinov2Model, layer by layer', () =>
    expectOutputs(fixture, {
      weights,
      image: 'pixel_values',
      write: (x) => numbered('hidden_states_', dinov2HiddenStates(new Params(), x, config)),
    }));

  it('has its interpolated positions', () =>
    expectOutputs(fixture, {
      weights,
      image: 'pixel_values_big',
      write: (x) => {
        const p = new Params();
        dinov2(p, x, config);
        const name = 'embeddings.position_embeddings';
        return { position_embedding_big: positionsFor(x, { p, name, patchSize: config.patch_size }) };
      },
    }));
});

describe('DINOv2 ViT-S/14', async () => {
  const folder = resolve('../shared/dinov2-small');
  const checkpoint = await Checkpoint.open(folder);
  const vector = await (await Checkpoint.open(join(folder, 'test_vector.safetensors'))).readAll();
  const table = await (await Checkpoint.open(join(folder, 'pos_embed_224.safetensors'))).readAll();
  const encoder = imageEncoder(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')));

  it('gives the features of its test vector, whole and pooled, from weights stored as float16', async () => {
    const pixelValues = take(vector, 'pixel_values');
    const x = input('pixel_values', 'float32', pixelValues.shape);
    const p = new Params();
    const features = encoder.encode(p, x);
    const pooled = poolPatches(features, { factor: 2, prefixTokens: encoder.prefixTokens });
    const positions = positionsFor(x, { p, name: 'embeddings.position_embeddings', patchSize: encoder.patchSize });
    const session = await compile({ features, pooled, positions }, weightsFrom(checkpoint.entries));
    const out = await session.run({ pixel_values: pixelValues });
    expect(absoluteError(out.features, take(vector, 'last_hidden_state'))).toBeLessThan(1e-3);
    expect(absoluteError(out.pooled, take(vector, 'pooled65'))).toBeLessThan(1e-3);
    expect(absoluteError(out.positions, take(table, 'position_embeddings_224'))).toBeLessThan(1e-6);
  });
});
