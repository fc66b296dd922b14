import { describe, expect, it } from 'vitest';
import type { Value } from '../../src/core/index.ts';
import { fromLavis, toLavis } from '../../src/hub/index.ts';
import { type Fixture, readFixture, readJson, take } from './fixtures.ts';

/** `null` where transformers has no such tensor; with a formula where several become one. */
interface Names {
  lavis_to_hf: Record<string, string | null>;
}

const bytesOf = ({ data }: Value) => Buffer.from(data.buffer, data.byteOffset, data.byteLength);

function expectSame(actual: Value, expected: Value, name: string): void {
  expect([actual.dtype, actual.shape], name).toEqual([expected.dtype, expected.shape]);
  expect(bytesOf(actual).equals(bytesOf(expected)), name).toBe(true);
}

const prefixed = (tensors: Fixture, prefix: string): Fixture =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [prefix + name, tensor]));

describe('LAVIS weights under Hugging Face names', () => {
  it('stage 1: as the reference names them, and back', async () => {
    const lavis = await readFixture('stage1/weights_lavis.safetensors');
    const { lavis_to_hf: names } = await readJson<Names>('stage1/names.json');
    const ours = fromLavis(lavis);
    expect(Object.keys(ours)).toHaveLength(Object.keys(names).length);
    for (const [from, to] of Object.entries(names)) {
      if (to !== null) expectSame(take(ours, to), take(lavis, from), to);
    }
    expect(toLavis(ours)).toEqual(lavis);
  });

  it('EVA: the same tensors as the Hugging Face model, and back', async () => {
    const lavis = await readFixture('vit/eva/weights_lavis.safetensors');
    const expected = prefixed(await readFixture('vit/eva/hf'), 'vision_model.');
    const ours = fromLavis(lavis);
    expect(Object.keys(ours).sort()).toEqual(Object.keys(expected).sort());
    for (const name of Object.keys(expected)) expectSame(take(ours, name), take(expected, name), name);
    expect(toLavis(ours)).toEqual(lavis);
  });

  it('CLIP: the same tensors as the Hugging Face model but its last layer and norm, and back', async () => {
    const lavis = await readFixture('vit/clip/weights_lavis.safetensors');
    const expected = await readFixture('vit/clip/hf');
    const ours = fromLavis(lavis);
    const shared = Object.keys(ours).filter((name) => !name.startsWith('vision_model.ln_vision.'));
    for (const name of shared) expectSame(take(ours, name), take(expected, name), name);
    const layers = (tensors: Fixture) =>
      new Set(Object.keys(tensors).map((name) => /layers\.(\d+)/.exec(name)?.[1])).size;
    expect(layers(ours)).toBe(layers(expected) - 1);
    expect(toLavis(ours)).toEqual(lavis);
  });
});
