import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { floats, type Value } from '../../core/index.ts';
import { bertToQFormer, fromLavis, toLavis } from './index.ts';

const tensor = (...shape: number[]): fc.Arbitrary<Value> => {
  const size = shape.reduce((a, b) => a * b, 1);
  return fc.array(fc.float({ noNaN: true }), { minLength: size, maxLength: size }).map((data) => floats(shape, data));
};

/** A state dict with `layers` copies of the names that have a `#`. */
const stateDict = (shapes: Readonly<Record<string, readonly number[]>>) =>
  fc.integer({ min: 1, max: 12 }).chain((layers) => {
    const all = Object.entries(shapes).flatMap(([name, shape]) =>
      Array.from({ length: name.includes('#') ? layers : 1 }, (_, i) => [name.replace('#', `${i}`), tensor(...shape)]),
    );
    return fc.record<Record<string, Value>>(Object.fromEntries(all));
  });

const eva = stateDict({
  query_tokens: [1, 2, 3],
  'ln_vision.weight': [2],
  'visual_encoder.pos_embed': [1, 2, 2],
  'visual_encoder.blocks.#.attn.q_bias': [2],
  'visual_encoder.blocks.#.attn.v_bias': [2],
  'visual_encoder.blocks.#.attn.qkv.weight': [6, 2],
  'visual_encoder.blocks.#.attn.proj.weight': [2, 2],
});
const clip = stateDict({
  temp: [],
  'ln_vision.bias': [2],
  'visual_encoder.conv1.weight': [2, 3, 1, 1],
  'visual_encoder.transformer.resblocks.#.attn.in_proj_weight': [6, 2],
  'visual_encoder.transformer.resblocks.#.attn.in_proj_bias': [6],
  'visual_encoder.transformer.resblocks.#.attn.out_proj.weight': [2, 2],
});

describe('LAVIS names', () => {
  it('come back from Hugging Face names, values and all', () => {
    const roundTrip = fc.property(fc.oneof(eva, clip), (tensors) => {
      expect(toLavis(fromLavis(tensors))).toEqual(tensors);
    });
    fc.assert(roundTrip, { numRuns: 30 });
  });
  it('are refused by name where they are unknown, incomplete or cannot be expressed', () => {
    const one = floats([1], [1]);
    expect(() => fromLavis({ 'Qformer.bert.pooler.dense.bias': one })).toThrow(/Qformer\.bert\.pooler\.dense\.bias/);
    expect(() => fromLavis({ 'visual_encoder.blocks.0.attn.q_bias': one })).toThrow(/attn\.v_bias is missing/);
    expect(() => fromLavis({ 'visual_encoder.blocks.0.attn.v_bias': one })).toThrow(/attn\.q_bias is missing/);
    const bias = { 'vision_model.encoder.layers.0.self_attn.qkv.bias': floats([3], [1, 1, 1]) };
    expect(() => toLavis(bias)).toThrow(/the keys have a bias/);
  });
  it('leave out what LAVIS stores twice', () => {
    const one = floats([1], [1]);
    const twice = { 'Qformer.cls.predictions.decoder.weight': one, 'Qformer.bert.embeddings.position_ids': one };
    expect(fromLavis({ ...twice, temp: one })).toEqual({ temp: one });
  });
});

describe('bertToQFormer', () => {
  const one = floats([1], [1]);
  const two = floats([1], [2]);
  it('copies the text feed-forward to the queries, and drops what has no place', () => {
    const bert = {
      'embeddings.LayerNorm.weight': one,
      'embeddings.token_type_embeddings.weight': one,
      'encoder.layer.11.attention.self.query.weight': one,
      'encoder.layer.11.attention.output.dense.weight': one,
      'encoder.layer.11.intermediate.dense.weight': two,
      'encoder.layer.11.output.LayerNorm.bias': two,
      'pooler.dense.weight': one,
    };
    expect(bertToQFormer(bert)).toEqual({
      'qformer.layernorm.weight': one,
      'qformer.encoder.layer.11.attention.attention.query.weight': one,
      'qformer.encoder.layer.11.attention.output.dense.weight': one,
      'qformer.encoder.layer.11.intermediate.dense.weight': two,
      'qformer.encoder.layer.11.intermediate_query.dense.weight': two,
      'qformer.encoder.layer.11.output.LayerNorm.bias': two,
      'qformer.encoder.layer.11.output_query.LayerNorm.bias': two,
    });
  });
  it('adds the first token type, which every token of a single text has, to the positions', () => {
    const start = bertToQFormer({
      'bert.embeddings.position_embeddings.weight': floats([3, 2], [1, 2, 3, 4, 5, 6]),
      'bert.embeddings.token_type_embeddings.weight': floats([2, 2], [10, 20, 70, 80]),
    });
    expect(start).toEqual({ 'embeddings.position_embeddings.weight': floats([3, 2], [11, 22, 13, 24, 15, 26]) });
  });
  it('reads the prefix and the old names of LayerNorm, and keeps the language-modelling head', () => {
    expect(
      bertToQFormer({
        'bert.embeddings.LayerNorm.gamma': one,
        'bert.embeddings.LayerNorm.beta': two,
        'cls.predictions.transform.LayerNorm.gamma': one,
        'cls.predictions.decoder.weight': one,
      }),
    ).toEqual({
      'qformer.layernorm.weight': one,
      'qformer.layernorm.bias': two,
      'cls.predictions.transform.LayerNorm.weight': one,
    });
  });
  it('refuses another model', () => {
    expect(() => bertToQFormer({ 'model.embed_tokens.weight': one })).toThrow(/model\.embed_tokens\.weight is not one/);
  });
});
