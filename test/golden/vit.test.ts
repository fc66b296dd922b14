import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Value } from '../../src/core/index.ts';
import { input, type Tensor } from '../../src/graph/index.ts';
import { Checkpoint, fromLavis } from '../../src/hub/index.ts';
import { clip, clipHiddenStates, parseClipConfig } from '../../src/models/clip/index.ts';
import { dinov2, dinov2HiddenStates, parseDinov2Config } from '../../src/models/dinov2/index.ts';
import { imageEncoder } from '../../src/models/image-encoders.ts';
import { interpolatePositions, parseVitConfig, poolPatches, vit, vitHiddenStates } from '../../src/models/vit/index.ts';
import { Params } from '../../src/nn/index.ts';
import { compile, type Weights, weightsFrom } from '../../src/runtime/index.ts';
import { absoluteError, goldenPath, readFixture, readJson, relativeError, take, tolerances } from './fixtures.ts';

/** Runs what `write` makes of an image and compares every output with the fixture's of the same name. */
async function expectOutputs(
  fixture: Readonly<Record<string, Value>>,
  { weights, image, write }: { weights: Weights; image: string; write: (pixelValues: Tensor) => Record<string, Tensor> },
) {
  const pixelValues = take(fixture, `in.${image}`);
  const session = await compile(write(input('pixel_values', 'float32', pixelValues.shape)), weights);
  const outputs = Object.entries(await session.run({ pixel_values: pixelValues }));
  expect(outputs.length).toBeGreaterThan(0);
  for (const [name, actual] of outputs) {
    const expected = take(fixture, `out.${name}`);
    expect(relativeError(actual, expected), name).toBeLessThan(tolerances.forward);
  }
}

const weightsOf = async (checkpoint: string) => weightsFrom((await Checkpoint.open(goldenPath(checkpoint))).entries);

const lavisWeights = async (file: string) => weightsFrom(new Map(Object.entries(fromLavis(await readFixture(file)))));

/** `prefix0`, `prefix1`, … */
const numbered = (prefix: string, states: readonly Tensor[]) =>
  Object.fromEntries(states.map((state, i) => [`${prefix}${i}`, state]));

/** The grid of the fixture's larger image. */
function largeGrid(fixture: Readonly<Record<string, Value>>, patchSize: number): [number, number] {
  const [, , height, width] = take(fixture, 'in.pixel_values_big').shape;
  return [height! / patchSize, width! / patchSize];
}

describe("BLIP-2's ViT", async () => {
  const fixture = await readFixture('vit/eva/io.safetensors');
  const config = parseVitConfig(await readJson('vit/eva/hf/config.json'));
  const weights = await weightsOf('vit/eva/hf');
  const p = new Params();

  it.each(['', '_big', '_rect'])('gives the last hidden state of Blip2VisionModel for pixel_values%s', (size) =>
    expectOutputs(fixture, {
      weights,
      image: `pixel_values${size}`,
      write: (x) => ({ [`hf_last_hidden_state${size}`]: vit(p, x, config) }),
    }),
  );

  it('interpolates the position table as PyTorch does', () => {
    const table = p.at('embeddings').tensor('position_embedding', take(fixtureTable(), 'shape').shape);
    return expectOutputs(fixture, {
      weights,
      image: 'pixel_values_big',
      write: () => ({ position_embedding_big: interpolatePositions(table, largeGrid(fixture, config.patch_size)) }),
    });
  });
});
