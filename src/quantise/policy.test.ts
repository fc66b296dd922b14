import { expect, it } from 'vitest';
import { formatsOf, isPrecise, roundingError } from './index.ts';

const layer = (name: string, width = 1408, out = 6144) => ({ name, width, out });

const named = (...inputs: Parameters<typeof formatsOf>) => formatsOf(...inputs).map(({ format }) => format);

it.each([
  ['vision_model.encoder.layers.3.mlp.fc1.weight', ['int8'], ['int8']],
  ['qformer.encoder.layer.0.intermediate_query.dense.weight', ['int8'], ['int8']],
  ['embeddings.word_embeddings.weight', ['int8'], ['int8']], // as the head that is tied to it
  ['language_model.model.decoder.layers.3.fc1.weight', ['int8'], ['int4', 'int8']],
  ['language_projection.weight', [], []],
  ['vision_projection.weight', [], []],
  ['text_projection.weight', [], []],
  ['itm_head.weight', [], []],
])('%s may be kept as %s, or as %s at int4', (name, int8, int4) => {
  expect(named(layer(name), 'fp32')).toEqual([]);
  expect(named(layer(name), 'int8')).toEqual(int8);
  expect(named(layer(name), 'int4')).toEqual(int4);
});

it.each([
  [2560, ['int8']], // straight to the logits
  [576, ['int8', 'int16']],
])('a head of %i channels is kept in eight bits, or 16 where its model is narrow', (width, formats) => {
  for (const precision of ['int8', 'int4'] as const) {
    expect(named(layer('language_model.lm_head.weight', width, 50_000), precision)).toEqual(formats);
  }
});

it('a language model whose rows cannot be cut into blocks is kept in int8', () => {
  expect(named(layer('language_model.model.layers.3.mlp.up_proj.weight', 24, 1e6), 'int4')).toEqual(['int8']);
});

it.each(['int8', 'int4'] as const)('small layers of a language model have 16 bits at %s', (precision) => {
  const small = layer('language_model.model.layers.3.mlp.up_proj.weight', 1024, 4095);
  expect(named(small, precision)).toEqual(['int8', 'int16']);
  expect(formatsOf(small, precision)[0]!.tolerated).toBeLessThan(0.001); // only where nothing is lost
});

it('other small layers are kept in eight bits where nothing is lost, and stay as they are elsewhere', () => {
  const [only, ...more] = formatsOf(layer('vision_model.encoder.layers.3.mlp.fc1.weight', 1024, 1023), 'int8');
  expect(only).toMatchObject({ format: 'int8' });
  expect(only!.tolerated).toBeLessThan(0.001);
  expect(more).toEqual([]);
});

it('large layers of a language model have four bits at int4', () => {
  expect(named(layer('language_model.model.layers.3.mlp.up_proj.weight', 1024, 4096), 'int4')[0]).toBe('int4');
});

it('rows are read in 16 bits but in the large layers of image encoders', () => {
  expect(isPrecise(layer('vision_model.encoder.layers.3.mlp.fc1.weight'))).toBe(false);
  expect(isPrecise(layer('vision_model.encoder.layers.3.mlp.fc1.weight', 384, 1536))).toBe(true);
  expect(isPrecise(layer('language_model.lm_head.weight'))).toBe(true);
});

it('the rounding error is relative to the weights of each input', () => {
  expect(roundingError(Float32Array.of(3, -6, 1, 0), Float32Array.of(3, 0.5), 2)).toBe(0);
  // Inputs [40, 3] and [4, 1] at steps of 4 and 2: they move by [0, 1] and [0, 1].
  expect(roundingError(Float32Array.of(40, 4, 3, 1), Float32Array.of(4, 2), 2)).toBeCloseTo(
    Math.sqrt((1 / (40 ** 2 + 9) + 1 / 17) / 2),
    10,
  );
  expect(roundingError(Float32Array.of(0, 0), Float32Array.of(1), 2)).toBe(0);
});
