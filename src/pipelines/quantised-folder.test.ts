import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { writeRandomModel, writeWideModel } from '../../test/random-model.ts';
import { floats, random, toFloat32, UsageError, type Value } from '../core/index.ts';
import { Checkpoint, writeSafetensors } from '../hub/index.ts';
import { formatsOf, quantisePerChannel } from '../quantise/index.ts';
import { readPretrained } from '../training/pretrained.ts';
import { Blip2, exportModel, exportOnnx, layerGroups, type PrecisionChoice, writeQuantised } from './index.ts';
import { linearLayers } from './layer-formats.ts';
import { openModel } from './model-files.ts';

let folder: string;
const at = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-quantised-'));
  vi.stubEnv('HF_HOME', at('home'));
  await writeRandomModel(at('model'), { language: true });
  await writeRandomModel(at('compact'), { language: true, quantised: true });
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

const draws = random(1, 'pixels');
const image = floats(
  [1, 3, 28, 28],
  Float32Array.from({ length: 3 * 28 * 28 }, () => draws.normal()),
);

/** A batch of so many times the same. */
function repeated({ shape, data }: Value<'float32'>, rows: number): Value<'float32'> {
  return floats([rows, ...shape.slice(1)], Array.from({ length: rows }, () => [...data]).flat());
}

async function traced(model: string, precision?: PrecisionChoice): Promise<Record<string, Value>> {
  const loaded = await Blip2.fromPretrained(model, { precision });
  const tensors = await loaded.trace({ image, question: 'a cat' });
  await loaded.release();
  return tensors;
}

/** ‖a − b‖ / ‖b‖ */
function difference(a: Value, b: Value): number {
  const [x, y] = [toFloat32(a), toFloat32(b)];
  const moved = y.reduce((sum, v, i) => sum + (x[i]! - v) ** 2, 0);
  return Math.sqrt(moved / y.reduce((sum, v) => sum + v ** 2, 0));
}

describe('a quantised model', () => {
  it('gives nearly the numbers of the model, but not the same', async () => {
    await writeQuantised(at('model'), at('rounded'), 'int8', { largeFrom: 1 });
    const exact = await traced(at('model'));
    const int8 = await traced(at('rounded'));
    for (const name of ['vision.last_hidden_state', 'qformer.last_hidden_state', 'logits']) {
      expect(difference(int8[name]!, exact[name]!), name).toBeLessThan(0.03);
      expect(difference(int8[name]!, exact[name]!), name).toBeGreaterThan(1e-4);
    }
  });

  it.each(['int8', 'int4'] as const)('of a folder in %s is that of quantising when it is loaded', async (precision) => {
    await writeQuantised(at('model'), at(precision), precision);
    const quantised = await traced(at('model'), precision);
    for (const choice of [undefined, 'auto', precision] as const) {
      expect(await traced(at(precision), choice)).toEqual(quantised);
    }
  });

  it('of small layers alone gives the numbers of the model to four digits', async () => {
    const exact = await traced(at('model'));
    const int8 = await traced(at('model'), 'int8');
    expect(difference(int8.logits!, exact.logits!)).toBeLessThan(1e-4);
    expect(int8.logits).not.toEqual(exact.logits);
  });

  it('is the same one where weights were int8 with scales before', async () => {
    await writeQuantised(at('model'), at('rounded-again'), 'int8', { largeFrom: 1 });
    await writeQuantised(at('compact'), at('compact-again'), 'int8', { largeFrom: 1 });
    const [quantised, again] = [await traced(at('rounded-again')), await traced(at('compact-again'))];
    for (const [name, tensor] of Object.entries(quantised)) expect(difference(again[name]!, tensor)).toBeLessThan(1e-5);
  });

  it('keeps small layers in int8 that were so before, and no others', async () => {
    const inInt8 = async (from: string) => {
      await writeQuantised(at(from), at(`${from}-small`), 'int8');
      const names = [...(await Checkpoint.open(at(`${from}-small`))).entries.keys()];
      return names.filter((name) => /^vision_model\..*layer\..*\.int8$/.test(name));
    };
    await exportModel(at('model'), at('compacted'), { compact: true });
    expect(await inInt8('compacted')).not.toEqual([]);
    expect(await inInt8('model')).toEqual([]);
  });

  it('keeps a large language model in 4 bits at int4, and says how every layer is kept', async () => {
    await writeQuantised(at('model'), at('four-bits'), 'int4', { largeFrom: 1 });
    const model = await Blip2.fromPretrained(at('four-bits'));
    const groups = layerGroups(model.files);
    expect(groups).toContainEqual({
      layers: 'language_model.model.layers.*.self_attn.q_proj.weight',
      count: 2,
      shape: [16, 16],
      weights: 'int4',
      rows: 'int8',
    });
    expect(groups).toContainEqual({
      layers: 'vision_model.encoder.layer.*.attention.output.dense.weight',
      count: 2,
      shape: [24, 24],
      weights: 'int8',
      rows: 'int16',
    });
    expect(groups.find(({ layers }) => layers === 'itm_head.weight')).toMatchObject({ weights: 'float32' });
    const head = groups.find(({ layers }) => /^language_model\.[^*]*$/.test(layers));
    expect(head!.weights).toMatch(/^int8/);
    await model.release();
  });
});

describe('writeQuantised', () => {
  it('records how the folder was made, and leaves nothing else', async () => {
    await writeQuantised(at('model'), at('recorded'), 'int4');
    const { quantization_config: recipe, ...rest } = JSON.parse(
      await readFile(join(at('recorded'), 'config.json'), 'utf8'),
    );
    expect(recipe).toMatchObject({ quant_method: 'blip2', precision: 'int4' });
    expect(rest).toEqual(JSON.parse(await readFile(join(at('model'), 'config.json'), 'utf8')));
    expect((await readdir(at('recorded'))).sort()).toEqual((await readdir(at('model'))).sort());
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('refuses to write over a folder, and to quantise twice', async () => {
    await expect(writeQuantised(at('model'), at('compact'), 'int8')).rejects.toThrow(/compact is there already/);
    await writeQuantised(at('model'), at('once'), 'int8');
    await expect(writeQuantised(at('once'), at('twice'), 'int4')).rejects.toThrow(
      /once is quantised to int8; name the model/,
    );
    await expect(exportModel(at('once'), at('twice'))).rejects.toThrow(UsageError);
    await expect(exportModel(at('once'), at('twice'), { compact: true })).rejects.toThrow(UsageError);
    await expect(exportOnnx(at('once'), at('twice'))).rejects.toThrow(UsageError);
    await expect(readPretrained(at('once'))).rejects.toThrow(/once is quantised; name the model/);
    expect(await readdir(folder)).not.toContain('twice');
  });
});

it('loses no more than 2 % of the logits where a channel or a token is a hundred times the others', async () => {
  await writeRandomModel(at('large'), { language: true });
  const file = join(at('large'), 'model.safetensors');
  const tensors = await (await Checkpoint.open(file)).readAll();
  const scale = (name: string, by: number, places: (i: number) => boolean) => {
    const data = toFloat32(tensors[`language_model.model.${name}.weight`]!);
    for (let i = 0; i < data.length; i++) if (places(i)) data[i]! *= by;
  };
  const width = tensors['language_model.model.embed_tokens.weight']!.shape[1]!;
  // A channel of what layers read, whose weights are as much smaller, as in models that were trained.
  for (const layer of [0, 1]) {
    const channel = 3 + layer;
    const readers = { input_layernorm: ['q', 'k', 'v'], post_attention_layernorm: ['gate', 'up'] };
    for (const [norm, projections] of Object.entries(readers)) {
      scale(`layers.${layer}.${norm}`, 100, (i) => i === channel);
      const block = norm === 'input_layernorm' ? 'self_attn' : 'mlp';
      for (const each of projections) {
        scale(`layers.${layer}.${block}.${each}_proj`, 1 / 100, (i) => i % width === channel);
      }
    }
  }
  scale('embed_tokens', 100, (i) => Math.floor(i / width) === 6); // and a token
  await writeSafetensors(file, tensors);
  const logits = async (precision?: PrecisionChoice) => (await traced(at('large'), precision)).logits!;
  const [exact, int8] = [await logits(), await logits('int8')];
  expect(difference(int8, exact)).toBeLessThan(0.02);
  expect(difference(int8, exact)).toBeGreaterThan(0);
});

it('keeps those int8 layers of the language model in blocks whose rows can be rounded so', async () => {
  await writeWideModel(at('wide'));
  const rounded = async (folder: string) => {
    const { entries } = await Checkpoint.open(folder);
    return [...entries.keys()].flatMap((name) => /layers\.(.*)\.weight\.int8_blocks$/.exec(name)?.[1] ?? []);
  };
  await writeQuantised(at('wide'), at('wide-blocks'), 'int8', { largeFrom: 1 });
  const inBlocks = await rounded(at('wide-blocks'));
  expect(inBlocks).toEqual(expect.arrayContaining(['1.self_attn.q_proj', '1.self_attn.v_proj', '1.mlp.gate_proj']));
  // A channel of what the first layer's attention reads is thirty times the others.
  expect(inBlocks).not.toContain('0.self_attn.q_proj');
  const model = await Blip2.fromPretrained(at('wide-blocks'));
  const kept = layerGroups(model.files).filter(({ layers }) => layers.endsWith('self_attn.q_proj.weight'));
  expect(kept.map(({ layers, weights, rows }) => [layers, weights, rows])).toEqual([
    ['language_model.model.layers.{0}.self_attn.q_proj.weight', 'int8', 'int16'],
    ['language_model.model.layers.{1}.self_attn.q_proj.weight', 'int8_blocks + int8_columns', 'int8'],
  ]);
  await model.release();
  expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  const exact = (await traced(at('wide'))).logits!;
  await writeRounded(at('wide'));
  await writeQuantised(at('wide'), at('wide-int8'), 'int8'); // not in blocks: too small for them to pay
  const [int8, blocks] = [(await traced(at('wide-int8'))).logits!, (await traced(at('wide-blocks'))).logits!];
  expect(difference(blocks, exact)).toBeLessThan(2 * difference(int8, exact));
  expect(await rounded(at('wide-int8'))).toEqual([]);
});

/** Rounds the linear layers of a model to eight bits, so that they are kept in int8, small as they are. */
async function writeRounded(path: string): Promise<void> {
  const file = join(path, 'model.safetensors');
  const tensors = await (await Checkpoint.open(file)).readAll();
  for (const layer of linearLayers(await openModel(path)).values()) {
    if (formatsOf(layer, 'int8').length === 0) continue;
    const weight = toFloat32(tensors[layer.name]!);
    const { int8, scales } = quantisePerChannel(weight, layer.out);
    for (let i = 0; i < weight.length; i++) weight[i] = int8[i]! * scales[Math.floor(i / layer.width)]!;
  }
  await writeSafetensors(file, tensors);
}

it('keeps them for many rows as well, where the whole model is in int8, and computes nearly the same with those', async () => {
  await writeWideModel(at('many'));
  await writeQuantised(at('many'), at('many-int8'), 'int8', { largeFrom: 1 });
  await writeQuantised(at('many'), at('many-int4'), 'int4', { largeFrom: 1 });
  const kept = async (folder: string, format: string) =>
    [...(await Checkpoint.open(folder)).entries.keys()].filter((name) => name.endsWith(format));
  const query = 'language_model.model.layers.1.self_attn.q_proj.weight';
  expect(await kept(at('many-int8'), '.int8_columns')).toContain(`${query}.int8_columns`);
  expect(await kept(at('many-int4'), '.int8_columns')).toEqual([]);

  /** The log-probability of the likeliest first token, in a batch of so many. */
  const likeliest = async (model: Blip2, rows: number) =>
    (await model.caption(repeated(image, rows), { maxNewTokens: 1, minNewTokens: 1 }))[0]!.logProbability;
  const exact = await Blip2.fromPretrained(at('many'));
  const int8 = await Blip2.fromPretrained(at('many-int8'));
  const [floats, few, many] = [await likeliest(exact, 1), await likeliest(int8, 1), await likeliest(int8, 16)];
  expect(many).not.toBe(few);
  expect(Math.abs(many - floats)).toBeLessThan(2 * Math.abs(few - floats));
  expect(await likeliest(int8, 1)).toBeCloseTo(many, 5); // what comes after is read in the same way
  await exact.release();
  await int8.release();
});

it('a layer whose outliers would cost the other weights their digits stays as it is', async () => {
  await writeRandomModel(at('outliers'));
  const name = 'qformer.encoder.layer.0.intermediate_query.dense.weight';
  const file = join(at('outliers'), 'model.safetensors');
  const tensors = await (await Checkpoint.open(file)).readAll();
  const weight = toFloat32(tensors[name]!);
  for (let i = 3; i < weight.length; i += 16) weight[i]! *= 100;
  await writeSafetensors(file, tensors);
  await writeQuantised(at('outliers'), at('outliers-int8'), 'int8', { largeFrom: 1 });
  const { entries } = await Checkpoint.open(at('outliers-int8'));
  expect(entries.has(name)).toBe(true);
  expect(entries.has(`${name}.int8`)).toBe(false);
  expect(entries.has(`${name.replace('layer.0', 'layer.1')}.int8`)).toBe(true);
});

it('a layer that four bits would round too much is kept in eight', async () => {
  await writeRandomModel(at('uneven'), { language: true });
  const name = 'language_model.model.layers.1.self_attn.q_proj.weight';
  const file = join(at('uneven'), 'model.safetensors');
  const tensors = await (await Checkpoint.open(file)).readAll();
  const weight = toFloat32(tensors[name]!);
  for (let i = 0; i < weight.length; i += 2) weight[i]! /= 4;
  await writeSafetensors(file, tensors);
  await writeQuantised(at('uneven'), at('uneven-int4'), 'int4', { largeFrom: 1 });
  const model = await Blip2.fromPretrained(at('uneven-int4'));
  const kept = layerGroups(model.files).filter(({ layers }) => layers.endsWith('self_attn.q_proj.weight'));
  expect(kept.map(({ layers, weights }) => [layers, weights])).toEqual([
    ['language_model.model.layers.{0}.self_attn.q_proj.weight', 'int4'],
    ['language_model.model.layers.{1}.self_attn.q_proj.weight', 'int8_blocks'],
  ]);
  await model.release();
});

it('the pocket model writes the same captions in int8', async () => {
  const images = ['apple.webp', 'deer.png', 'guitar.webp'].map((name) => `examples/${name}`);
  const model = await Blip2.fromPretrained('pocket');
  const int8 = await Blip2.fromPretrained('pocket', { precision: 'int8' });
  const words = async (each: Blip2) => (await each.caption(images)).map(({ text }) => text);
  expect(await words(int8)).toEqual(await words(model));
  await model.release();
  await int8.release();
}, 120_000);
