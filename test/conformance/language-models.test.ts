/** What every family of language models promises, on small models of transformers and with the logits it gives. */
import { readFile } from 'node:fs/promises';
import { afterAll, describe, expect, it } from 'vitest';
import {
  ConfigError,
  elements,
  floats,
  int64s,
  random,
  toFloat32,
  toNumbers,
  type Value,
} from '../../src/core/index.ts';
import { compileLanguageModel, type Prompt } from '../../src/generation/index.ts';
import { constant, differentiate, input, mul, reduceSum, type Tensor } from '../../src/graph/index.ts';
import { Checkpoint } from '../../src/hub/index.ts';
import { type LanguageModel, languageModel, type languageModels } from '../../src/models/index.ts';
import { Params } from '../../src/nn/index.ts';
import { compile, weightsFrom } from '../../src/runtime/index.ts';
import { type Fixture, relativeError, take, tolerances } from '../golden/fixtures.ts';

const testdata = new URL('../../src/models/testdata/', import.meta.url);
const configs: Record<string, { model_type: string }> = JSON.parse(
  await readFile(new URL('language-models.json', testdata), 'utf8'),
);
const stored = await (await Checkpoint.open(new URL('language-models.safetensors', testdata).pathname)).readAll();

/** A family without a variant here does not compile. */
const variants: Record<keyof typeof languageModels, readonly string[]> = {
  opt: ['opt post-norm, projected', 'opt untied, without biases'],
  llama: ['llama grouped, tied', 'llama multi-query, with biases', 'llama 3.1', 'llama linear'],
  mistral: ['mistral'],
  qwen2: ['qwen2'],
  qwen3: ['qwen3'],
  t5: ['t5 first', 't5 v1.1'],
};

/** What transformers 5 writes in the configurations of some, where that is not what 4 wrote. */
const savedByFive: Readonly<Record<string, object>> = {
  'llama grouped, tied': { rope_theta: undefined, rope_parameters: { rope_theta: 100_000, rope_type: 'default' } },
  't5 first': { tie_word_embeddings: true, scale_decoder_outputs: true },
  't5 v1.1': { tie_word_embeddings: true, scale_decoder_outputs: false },
};

const under = (prefix: string): Fixture =>
  Object.fromEntries(
    Object.entries(stored).flatMap(([name, v]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), v]] : [])),
  );

/** The logits of every position, from inputs of transformers' names. */
function logitsGraph(lm: LanguageModel, p: Params, dims: { batch: number; length: number; decoded: number }) {
  const { batch, length, decoded } = dims;
  const inputsEmbeds = input('inputs_embeds', 'float32', [batch, length, lm.width]);
  const attentionMask = input('attention_mask', 'int64', [batch, length]);
  if (lm.kind === 'decoder') {
    return { inputsEmbeds, logits: lm.head(p, lm.decode(p, { inputsEmbeds, attentionMask }).hidden) };
  }
  const memory = lm.memory(p, lm.encode(p, { inputsEmbeds, attentionMask }));
  const ids = input('decoder_input_ids', 'int64', [batch, decoded]);
  const ones = int64s([batch, decoded], new Array<number>(batch * decoded).fill(1));
  const decoding = { inputsEmbeds: lm.embed(p, ids), attentionMask: constant(ones), memory, memoryMask: attentionMask };
  return { inputsEmbeds, logits: lm.head(p, lm.decode(p, decoding).hidden) };
}

function noise(shape: readonly number[], name: string): Value<'float32'> {
  const draws = random(1, name);
  return floats(
    shape,
    Float32Array.from({ length: elements(shape) }, () => draws.normal()),
  );
}

const row = (v: Value, i: number): number[] => {
  const size = elements(v.shape.slice(1));
  return toNumbers(v).slice(i * size, (i + 1) * size);
};

/** Prompts of one row each, padded on the left to one length. */
function padded(prompts: readonly (readonly number[])[]): Prompt {
  const length = Math.max(...prompts.map((ids) => ids.length));
  const fill = (ids: readonly number[], pad: readonly number[]) => [...pad.slice(0, length - ids.length), ...ids];
  const zeros = new Array<number>(length).fill(0);
  return {
    inputIds: int64s(
      [prompts.length, length],
      prompts.flatMap((ids) => fill(ids, zeros)),
    ),
    attentionMask: int64s(
      [prompts.length, length],
      prompts.flatMap((ids) =>
        fill(
          ids.map(() => 1),
          zeros,
        ),
      ),
    ),
  };
}

describe.each(Object.values(variants).flat())('%s', async (variant) => {
  const lm = languageModel(configs[variant]!);
  const weights = under(`${variant}/weights/`);
  const recorded = under(`${variant}/case/`);
  const bound = weightsFrom(new Map(Object.entries(weights)));
  const ids = take(recorded, 'input_ids');
  const mask = take(recorded, 'attention_mask');
  const [batch, length] = ids.shape as [number, number];
  const decoderIds = recorded.decoder_input_ids;
  /** By position of the logits, row by row: whether it is no padding. */
  const kept = decoderIds ? toNumbers(decoderIds).map(() => true) : toNumbers(mask).map((keep) => keep === 1);
  const dims = { batch, length, decoded: decoderIds?.shape[1] ?? 0 };

  const p = new Params();
  const { inputsEmbeds, logits } = logitsGraph(lm, p, dims);
  const embeds = lm.embed(p, input('input_ids', 'int64', [batch, length]));
  const embedding = await compile({ embeds }, bound);
  const feeds = {
    inputs_embeds: (await embedding.run({ input_ids: ids })).embeds,
    attention_mask: mask,
    ...(decoderIds ? { decoder_input_ids: decoderIds } : {}),
  };
  const model = await compileLanguageModel(lm, { weights: bound });
  afterAll(async () => {
    await embedding.release();
    await model.release();
  });

  it('declares its state dict: these names, these shapes, and no others', () => {
    const shapes = (entries: Iterable<[string, { shape: readonly unknown[] }]>) =>
      Object.fromEntries([...entries].map(([name, { shape }]) => [name, shape]));
    expect(shapes(p.declared)).toEqual(shapes(Object.entries(weights)));
  });

  /** How far logits are from those of transformers. */
  const logitsError = async (outputs: { logits: Tensor }) => {
    const session = await compile(outputs, bound);
    const found = (await session.run(feeds)).logits;
    await session.release();
    const keep = (v: Value) => toNumbers(v).filter((_, i) => kept[Math.floor(i / lm.vocabularySize)]);
    return relativeError(keep(found), keep(take(recorded, 'logits')));
  };

  it('gives the logits of transformers', async () => {
    expect(await logitsError({ logits })).toBeLessThan(tolerances.forward);
  });

  it.runIf(savedByFive[variant])('gives them from the configuration that transformers 5 saves', async () => {
    const again = logitsGraph(languageModel({ ...configs[variant]!, ...savedByFive[variant] }), new Params(), dims);
    expect(await logitsError({ logits: again.logits })).toBeLessThan(tolerances.forward);
  });

  it('writes step by step what it reads at once, whatever row it is in', async () => {
    const expected = row(take(recorded, 'logits'), 0);
    const told = decoderIds ? length : 4; // the prompt; an encoder-decoder's is what the encoder reads
    const written = decoderIds ? row(decoderIds, 0).slice(1) : row(ids, 0).slice(told);
    const first = decoderIds ? 0 : told - 1;
    const decoding = await model.prefill(padded([row(ids, 0).slice(0, told)]), { copies: 2 });
    let at = 0; // the row of the recorded sequence; the other one writes something else
    for (const [step, token] of [...written, undefined].entries()) {
      const start = (first + step) * lm.vocabularySize;
      const error = relativeError(decoding.scores(at), expected.slice(start, start + lm.vocabularySize));
      expect(error, `step ${step}`).toBeLessThan(tolerances.forward);
      if (token === undefined) break;
      const parents = step % 3 === 1 ? [1, 0] : [0, 1];
      at = parents.indexOf(at);
      await decoding.step(at === 0 ? [token, step % 7] : [step % 7, token], parents);
    }
  });

  it('gives each prompt of a batch what it gives it alone', async () => {
    const prompts = [row(ids, 0).slice(0, 7), row(ids, 0).slice(3, 6), row(ids, 1).slice(4, 9)];
    const together = await model.prefill(padded(prompts), { copies: 1 });
    await together.step([5, 6, 7]);
    for (const [i, prompt] of prompts.entries()) {
      const alone = await model.prefill(padded([prompt]), { copies: 1 });
      await alone.step([5 + i]);
      expect(relativeError(together.scores(i), alone.scores(0)), `prompt ${i}`).toBeLessThan(tolerances.forward);
    }
    expect(relativeError(together.scores(0), together.scores(1))).toBeGreaterThan(100 * tolerances.forward);
  });

  it('passes gradients to its input, along which the loss rises as they say', async () => {
    const probe = noise(logits.shape.map(Number), 'probe');
    probe.data.forEach((_, i) => {
      if (!kept[Math.floor(i / lm.vocabularySize)]) probe.data[i] = 0; // padding attends to nothing and means nothing
    });
    const loss = reduceSum(mul(logits, constant(probe)), { axes: [0, 1, 2], keepDims: false });
    const [gradient] = differentiate(loss, [inputsEmbeds]);
    const session = await compile({ loss, gradient: gradient! }, bound);
    const { gradient: found } = await session.run(feeds);
    const direction = toFloat32(found);
    const norm = Math.hypot(...direction);
    const lossAt = async (step: number) => {
      const moved = toFloat32(feeds.inputs_embeds).map((x, i) => x + (step * direction[i]!) / norm);
      const at = await session.run({ ...feeds, inputs_embeds: floats(inputsEmbeds.shape.map(Number), moved) });
      return toNumbers(at.loss)[0]!;
    };
    const slope = ((await lossAt(0.001)) - (await lossAt(-0.001))) / 0.002;
    await session.release();
    expect(norm).toBeGreaterThan(0);
    expect(Math.abs(slope / norm - 1)).toBeLessThan(0.01);
  });
});

describe('a text_config', () => {
  it('of an unknown model is refused with the nearest known one', () => {
    expect(() => languageModel({ model_type: 'lama' })).toThrow(
      /model_type: expected llama, mistral, opt, qwen2, qwen3, t5, found "lama"; did you mean llama/,
    );
  });

  it.each([
    { rope_scaling: null },
    { rope_scaling: { rope_type: 'default' } },
    { rope_scaling: { type: 'default' } },
    { rope_parameters: { rope_theta: 10_000 } },
  ])('may say that rotary positions are not scaled: %j', (json) => {
    expect(() => languageModel({ model_type: 'llama', ...json })).not.toThrow();
  });

  it.each([
    [{ model_type: 'mistral' }, 4096],
    [{ model_type: 'mistral', sliding_window: null, max_position_embeddings: 32_768 }, 32_768],
    [{ model_type: 'qwen2', sliding_window: 1024 }, 32_768],
    [{ model_type: 'qwen3', sliding_window: 1024, use_sliding_window: true }, 1024],
  ])('%j reads no further than its window', (json, longest) => {
    expect(languageModel(json).maxPositions).toBe(longest);
  });

  it.each([
    [
      { model_type: 'opt', hidden_size: 30, num_attention_heads: 4 },
      /hidden_size: expected a multiple of num_attention_heads 4/,
    ],
    [{ model_type: 'opt', activation_function: 'swish' }, /activation_function: expected relu, .* found "swish"/],
    [
      { model_type: 'llama', num_attention_heads: 6, num_key_value_heads: 4, head_dim: 8 },
      /num_attention_heads: expected a multiple of num_key_value_heads 4, found 6/,
    ],
    [
      { model_type: 'qwen2', rope_scaling: { rope_type: 'yarn', factor: 4 } },
      /expected .* default, linear or llama3, found/,
    ],
    [
      { model_type: 'llama', rope_scaling: { factor: 2 } },
      /rope_scaling: rotary positions cannot be scaled so: factor/,
    ],
    [
      { model_type: 'llama', rope_parameters: { rope_theta: 500_000, rope_type: 'llama3', factor: 8 } },
      /rope_parameters: rotary positions .* low_freq_factor: .*, found \{.*"llama3"/,
    ],
    [
      { model_type: 'mistral', num_attention_heads: 12, head_dim: 8 },
      /num_attention_heads: expected a multiple of num_key_value_heads 8, found 12/,
    ],
    [{ model_type: 'llama', head_dim: 7 }, /head_dim: rotary positions need an even number, found 7/],
    [{ model_type: 't5', d_model: '512' }, /d_model: /],
  ])('%j is refused by the field', (json, message) => {
    expect(() => languageModel(json)).toThrow(message);
    expect(() => languageModel(json)).toThrow(ConfigError);
  });
});
