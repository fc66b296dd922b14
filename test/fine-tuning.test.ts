/** Stage 2 with an encoder-decoder, and the fine-tuning tasks, trained for a few steps on small random models. */
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { heldOutMetric } from '../src/cli/held-out-metric.ts';
import { elements, floats, random, toNumbers, type Value } from '../src/core/index.ts';
import { Checkpoint, writeJson, writeSafetensors } from '../src/hub/index.ts';
import { languageModel } from '../src/models/index.ts';
import { Params } from '../src/nn/index.ts';
import { logitsGraph } from '../src/pipelines/graphs.ts';
import { Blip2, exportModel } from '../src/pipelines/index.ts';
import { readRecipe, type TrainOptions, train } from '../src/training/index.ts';
import { writeRandomModel } from './random-model.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-tune-'));
  await writeRandomModel(join(folder, 'one'), { quantised: true });
  await writeJson(join(folder, 'one/config.json'), { ...(await json('one/config.json')), rerank_itc_weight: 100 });
  await writeRandomModel(join(folder, 'two'), { language: true });
  await writeT5(join(folder, 't5'));
  await writePictures();
});
afterAll(() => rm(folder, { recursive: true }));

/** A small T5 with the tokenizer of the random models. */
async function writeT5(path: string): Promise<void> {
  const read = async (file: string) => JSON.parse(await readFile(join(folder, 'one', file), 'utf8'));
  const { qformer_config } = await read('config.json');
  const config = {
    model_type: 't5',
    ...{ vocab_size: qformer_config.vocab_size, d_model: 16, d_kv: 8, d_ff: 24, num_heads: 2, num_layers: 1 },
    eos_token_id: 3,
  };
  const p = new Params();
  logitsGraph(p, languageModel(config));
  const weights = [...p.declared].map(([name, { shape }]): [string, Value] => {
    const draws = random(2, name);
    const size = elements(shape.map(Number));
    return [
      name,
      floats(
        shape.map(Number),
        Float32Array.from({ length: size }, () => 0.3 * draws.normal()),
      ),
    ];
  });
  await writeJson(join(path, 'config.json'), config);
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) await writeJson(join(path, file), await read(file));
  await writeSafetensors(join(path, 'model.safetensors'), weights);
}

async function writePictures(): Promise<void> {
  const rows = await Promise.all(
    ['red', 'blue', 'green', 'white', 'black', 'orange'].map(async (background, i) => {
      const pixels = sharp({ create: { width: 40 + i, height: 36, channels: 3, background } });
      const spot = { create: { width: 9, height: 9, channels: 3 as const, background: 'gray' } };
      await pixels
        .composite([{ input: spot, left: 3 * i, top: 5 }])
        .png()
        .toFile(join(folder, `${i}.png`));
      return {
        image: `${i}.png`,
        image_id: Math.floor(i / 2),
        caption: i % 2 ? 'a blue cat on the left' : 'a red dog',
      };
    }),
  );
  const lines = (list: readonly object[]) => `${list.map((row) => JSON.stringify(row)).join('\n')}\n`;
  await writeFile(join(folder, 'data.jsonl'), lines(rows));
  const asked = rows.map(({ image }, i) => ({
    ...{ image, question: i % 2 ? 'a cat' : 'the apple' },
    answers: i % 3 ? ['blue', 'red', 'blue'] : ['dog'],
  }));
  await writeFile(join(folder, 'questions.jsonl'), lines(asked));
}

interface Settings {
  readonly task: string;
  readonly model: string;
  readonly data?: string;
  readonly run?: string;
  readonly file?: string;
}

async function recipe(
  output: string,
  { task, model, data = '', run = '', file = 'data.jsonl' }: Settings,
  ...changes: string[]
) {
  const path = join(folder, 'recipe.yaml');
  const lines = [
    `task: ${task}`,
    `model: { ${model.replaceAll('$', folder)} }`,
    `data: { train: [{ type: jsonl, path: ${join(folder, file)} }], max_txt_len: 12, feature_cache: ${folder}/cache${data} }`,
    `run: { output_dir: ${join(folder, output)}, batch_size_train: 3, max_steps: 3, warmup_steps: 1, init_lr: 1.0e-2, log_every: 1, save_every: 1, seed: 3${run} }`,
  ];
  await writeFile(path, lines.join('\n'));
  return readRecipe(path, changes);
}

const readAll = async (path: string) => (await Checkpoint.open(join(folder, path))).readAll();
const metrics = async (run: string) => readFile(join(folder, run, 'metrics.jsonl'), 'utf8');
/** What a run told of each of its steps. */
const steps = async (run: string) =>
  (await metrics(run))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const json = async (path: string) => JSON.parse(await readFile(join(folder, path), 'utf8'));
const below = (weights: Readonly<Record<string, Value>>, root: string) =>
  Object.entries(weights).filter(([name]) => name.startsWith(root));

describe('stage 2 in front of an encoder-decoder', () => {
  const settings = { task: 'stage2', model: 'stage1: $/one, language_model: $/t5, prompt: a cat, prefix_lm: true' };

  it('trains the Q-Former and the projection alone, on prefixes and suffixes', async () => {
    expect(await train(await recipe('t5-run', settings))).toBe(true);
    const model = await readAll('t5-run/model');
    for (const [name, v] of Object.entries(await readAll('t5'))) {
      expect(model[`language_model.${name}`], name).toEqual(v);
    }
    const start = await readAll('one');
    for (const [name, v] of below(start, 'vision_model.')) expect(model[name], name).toEqual(v);
    expect(model.query_tokens).not.toEqual(start.query_tokens);
    expect(await json('t5-run/model/config.json')).toMatchObject({ caption_prompt: 'a cat' });
    const losses = (await metrics('t5-run')).trim().split('\n');
    expect(new Set(losses.map((line) => JSON.parse(line).loss)).size).toBe(3);
  });

  it('writes a model that captions', async () => {
    const model = await Blip2.fromPretrained(join(folder, 't5-run/model'));
    expect(await model.caption([join(folder, '0.png')], { prompt: 'a cat', maxNewTokens: 2 })).toHaveLength(1);
    await model.release();
  });

  it('computes a batch in parts as it computes the whole', async () => {
    // All pictures in every step, of two lengths of captions.
    const whole = { ...settings, run: ', dropout: 0', model: settings.model.replace(', prefix_lm: true', '') };
    await train(await recipe('one-part', whole, 'run.batch_size_train=6'));
    await train(await recipe('three-parts', whole, 'run.batch_size_train=2', 'run.accum_grad_iters=3'));
    const parts = await steps('three-parts');
    for (const [i, { loss, grad_norm }] of (await steps('one-part')).entries()) {
      expect(Math.abs(parts[i].loss / loss - 1), `step ${i}`).toBeLessThan(1e-4);
      expect(Math.abs(parts[i].grad_norm / grad_norm - 1), `step ${i}`).toBeLessThan(1e-3);
    }
  });

  it('begins with prompts near words where asked, which changes the projection alone', async () => {
    const still = ['run.max_steps=1', 'run.warmup_lr=0']; // what training begins with
    await train(await recipe('prompts-drawn', settings, ...still));
    await train(await recipe('prompts-of-words', settings, ...still, 'run.word_prompts=true'));
    const [drawn, ofWords] = [await readAll('prompts-drawn/model'), await readAll('prompts-of-words/model')];
    const changed = Object.keys(drawn).filter((name) => !isDeepStrictEqual(drawn[name], ofWords[name]));
    expect(changed.sort()).toEqual(['language_projection.bias', 'language_projection.weight']);
  });

  it('does so from a stage 1 with a frozen image encoder alone', async () => {
    for (const model of ['from_scratch: true', 'freeze_vit: false']) {
      const wrong = recipe('wrong', { ...settings, model: `${settings.model}, ${model}` }, 'run.word_prompts=true');
      await expect(train(await wrong)).rejects.toThrow(
        `run.word_prompts: expected false, because model.${model.replace(':', ' is')}`,
      );
    }
  });

  it('asks for an encoder-decoder to cut captions for', async () => {
    const wrong = { ...settings, model: settings.model.replace('$/t5', '$/llama') };
    await writeLlama();
    await expect(train(await recipe('wrong', wrong))).rejects.toThrow(/prefix_lm: .*llama is a decoder/);
  });
});

/** The language model of the random model of stage 2 in a folder of its own. */
async function writeLlama(): Promise<void> {
  await writeJson(join(folder, 'llama/config.json'), (await json('two/config.json')).text_config);
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
    await writeJson(join(folder, 'llama', file), await json(`two/${file}`));
  }
  const weights = below(await readAll('two'), 'language_model.');
  await writeSafetensors(
    join(folder, 'llama/model.safetensors'),
    weights.map(([name, v]) => [name.slice('language_model.'.length), v] as const),
  );
}

describe('fine-tuning for retrieval, on augmented pictures of another size', () => {
  const table = 'embeddings.position_embeddings';
  const settings = {
    task: 'retrieval',
    model: 'pretrained: $/one, image_size: 56, drop_path_rate: 0.5',
    data: ', augment: true',
    run: ', lr_layer_decay: 0.5, lr_scales: { "^vision_model\\\\.": 0.5 }', // both count
  };
  beforeAll(async () => {
    expect(await train(await recipe('retrieval', settings))).toBe(true);
  });

  it('goes on after an interruption as if there had been none, wherever its memory comes from', async () => {
    const stop = new AbortController();
    const options: TrainOptions = { signal: stop.signal, onProgress: ({ step }) => step === 0 && stop.abort() };
    const sparing = { ...settings, run: `${settings.run}, memory_arena: false` };
    expect(await train(await recipe('interrupted', sparing), options)).toBe(false);
    expect(await train(await recipe('interrupted', sparing), { resume: true })).toBe(true);
    expect(await metrics('interrupted')).toBe(await metrics('retrieval'));
    expect(await readAll('interrupted/model')).toEqual(await readAll('retrieval/model'));
  });

  it('trains the image encoder too, the less the earlier the block, and writes it as numbers of its own', async () => {
    const [start, end] = [await readAll('two'), await readAll('retrieval/model')]; // as `one`, but not as int8
    const maskToken = 'vision_model.embeddings.mask_token'; // only pre-training reads it
    const frozen = (weights: Readonly<Record<string, Value>>) => below(weights, maskToken).sort();
    expect(frozen(end)).toEqual(frozen(await readAll('one')));
    const names = (weights: Readonly<Record<string, Value>>) => below(weights, 'vision_model.').map(([name]) => name);
    expect(new Set(names(end))).toEqual(new Set([...names(start), `${maskToken}.scale`]));
    // Adam's first step is as long as the rate.
    expect(await train(await recipe('one-step', settings, 'run.max_steps=1', 'run.warmup_lr=0.01'))).toBe(true);
    const after = await readAll('one-step/model');
    const movement = (name: string) => {
      const from = toNumbers(start[name]!);
      return Math.max(...toNumbers(after[name]!).map((x, i) => Math.abs(x - from[i]!)));
    };
    const bias = (layer: number) => movement(`vision_model.encoder.layer.${layer}.mlp.fc2.bias`);
    expect(bias(1)).toBeGreaterThan(0);
    expect(bias(1) / bias(0)).toBeCloseTo(2, 3);
  });

  it('writes a model that matches pictures of that size', async () => {
    const model = await Blip2.fromPretrained(join(folder, 'retrieval/model'));
    expect((await model.preprocess([join(folder, '0.png')])).shape).toEqual([1, 3, 56, 56]);
    const [match] = await model.match(join(folder, '0.png'), ['a red dog']);
    expect(match!.itm).toBeGreaterThan(0);
    await model.release();
  });

  it('writes one whose positions are those of that size', async () => {
    const { vision_config } = await json('retrieval/model/config.json');
    expect(vision_config.image_size).toBe(56);
    const { [`vision_model.${table}`]: positions } = await readAll('retrieval/model');
    expect(positions!.shape.at(-2)).toBe(1 + (56 / vision_config.patch_size) ** 2);
    const [said] = await exportModel(join(folder, 'retrieval/model'), join(folder, 'exported'));
    expect(said).toMatch(/transformers cannot load this model/); // DINOv2, but
    expect(said).not.toMatch(/pixels/);
  });

  it('keeps the positions of an encoder that stays frozen, with which transformers would not know what to do', async () => {
    const frozen = { ...settings, model: 'pretrained: $/one, image_size: 56, freeze_vit: true', run: '' };
    expect(await train(await recipe('frozen', frozen))).toBe(true);
    const name = `vision_model.${table}`;
    expect((await readAll('frozen/model'))[name]).toEqual((await readAll('one'))[name]);
    const [said] = await exportModel(join(folder, 'frozen/model'), join(folder, 'exported-frozen'));
    expect(said).toMatch(/its pictures have 56 pixels, its positions are of 28/);
  });

  it('does not keep the weight of a cosine, which belongs to the heads as they were', async () => {
    expect(await json('one/config.json')).toHaveProperty('rerank_itc_weight');
    expect(await json('retrieval/model/config.json')).not.toHaveProperty('rerank_itc_weight');
  });
});

describe('fine-tuning for retrieval, in parts', () => {
  const settings = {
    task: 'retrieval',
    model: 'pretrained: $/one',
    file: 'copies.jsonl',
    run: ', lr_layer_decay: 0.5',
  };
  const parts = ['run.batch_size_train=2', 'run.accum_grad_iters=2'];
  beforeAll(async () => {
    // One picture thrice and another once: whatever noise draws ITM's negatives with, they are the same.
    const copy = { image: '0.png', image_id: 0, caption: 'a red dog' };
    const rows = [copy, copy, copy, { image: '1.png', image_id: 1, caption: 'a blue cat on the left' }];
    await writeFile(join(folder, 'copies.jsonl'), `${rows.map((row) => JSON.stringify(row)).join('\n')}\n`);
  });

  it('computes what it computes of the whole batch, of the image encoder too', async () => {
    await train(await recipe('retrieval-whole', settings, 'run.batch_size_train=4', 'run.dropout=0'));
    await train(await recipe('retrieval-parts', settings, ...parts, 'run.dropout=0'));
    const [whole, inParts] = [await steps('retrieval-whole'), await steps('retrieval-parts')];
    expect(inParts).toHaveLength(3);
    for (const [i, line] of whole.entries()) {
      for (const name of ['loss', 'itc', 'itm', 'itg', 'grad_norm']) {
        expect(Math.abs(inParts[i][name] / line[name] - 1), `${name}, step ${i}`).toBeLessThan(1e-4);
      }
    }
  });

  it('leaves out patches, and goes on after an interruption as if there had been none', async () => {
    const dropping = { ...settings, model: `${settings.model}, drop_path_rate: 0.5`, data: ', patch_dropout: 0.5' };
    const stop = new AbortController();
    const options: TrainOptions = { signal: stop.signal, onProgress: ({ step }) => step === 0 && stop.abort() };
    expect(await train(await recipe('dropping', dropping, ...parts))).toBe(true);
    expect(await train(await recipe('stopped', dropping, ...parts), options)).toBe(false);
    expect(await train(await recipe('stopped', dropping, ...parts), { resume: true })).toBe(true);
    expect(await readAll('stopped/model')).toEqual(await readAll('dropping/model'));
  });
});

describe('fine-tuning for captions', () => {
  it('trains the image encoder and not the language model, and keeps the prompt with the model', async () => {
    expect(await train(await recipe('caption', { task: 'caption', model: 'pretrained: $/two' }))).toBe(true);
    const [start, end] = [await readAll('two'), await readAll('caption/model')];
    for (const [name, v] of below(start, 'language_model.')) expect(end[name], name).toEqual(v);
    const [name, before] = below(start, 'vision_model.encoder')[0]!;
    expect(end[name]).not.toEqual(before);
    expect(await json('caption/model/config.json')).toMatchObject({ caption_prompt: 'a photo of' });
    const model = await Blip2.fromPretrained(join(folder, 'caption/model'));
    const images = [join(folder, '0.png')];
    const prompted = await model.caption(images, { prompt: 'a photo of', maxNewTokens: 2 });
    expect(await model.caption(images, { maxNewTokens: 2 })).toEqual(prompted);
    await model.release();
  });

  it('asks for a language model', async () => {
    const wrong = { task: 'caption', model: 'pretrained: $/one' };
    await expect(train(await recipe('wrong', wrong))).rejects.toThrow(/one: expected a model of stage 2/);
  });
});

describe('fine-tuning for questions', () => {
  const settings = {
    task: 'vqa',
    model: "pretrained: $/two, freeze_vit: true, prompt: 'a {} is'",
    data: ', answers_per_question: 2',
    file: 'questions.jsonl',
  };

  it('trains queries that read the question, and writes a model that answers', async () => {
    expect(await train(await recipe('vqa', settings))).toBe(true);
    const [start, end] = [await readAll('two'), await readAll('vqa/model')];
    for (const root of ['language_model.', 'vision_model.']) {
      for (const [name, v] of below(start, root)) expect(end[name], name).toEqual(v);
    }
    const words = 'embeddings.word_embeddings.weight';
    expect(end[`qformer.${words}`]!.data).not.toEqual(start[words]!.data);
    expect(await json('vqa/model/config.json')).toMatchObject({
      architectures: ['InstructBlipForConditionalGeneration'],
      question_prompt: 'a {} is',
    });
    const model = await Blip2.fromPretrained(join(folder, 'vqa/model'));
    const image = join(folder, '0.png');
    const asked = await model.answer(image, 'cat', { maxNewTokens: 2 });
    expect(asked).toEqual(await model.answer(image, 'a cat is', { raw: true, maxNewTokens: 2 }));
    expect(asked.score).toBeLessThan(0);
    await model.release();
  });

  it.each([
    ["pretrained: $/two, prompt: 'what?'", /model\.prompt: expected a template with \{\}/],
    [
      'pretrained: $/two, freeze_vit: true, drop_path_rate: 0.1',
      /drop_path_rate: expected 0, because model\.freeze_vit/,
    ],
    ['pretrained: $/nowhere', /nowhere/],
  ])('refuses %s', async (model, message) => {
    await expect((async () => train(await recipe('wrong', { ...settings, model })))()).rejects.toThrow(message);
  });
});

describe('held-out losses', () => {
  const settings = { task: 'caption', model: 'pretrained: $/two, freeze_vit: true' };
  const still = ['run.init_lr=1e-12', 'run.min_lr=0', 'run.warmup_lr=0', 'run.dropout=0', 'run.max_steps=2'];

  it('are those of the same data in training, where nothing moves and nothing is dropped', async () => {
    const held = [`data.eval=[{ type: jsonl, path: ${folder}/data.jsonl }]`, 'run.eval_every=2'];
    expect(await train(await recipe('held', settings, ...still, ...held))).toBe(true);
    const [first, second] = await steps('held');
    expect(first).not.toHaveProperty('eval_loss');
    expect(second.eval_loss).toBeCloseTo((first.loss + second.loss) / 2, 5); // an epoch is two steps
  });

  it('are of hard negatives, however far those of training are', async () => {
    // The pictures differ little to a random model: at this temperature the most similar one is drawn.
    await writeRandomModel(join(folder, 'cold'), { temperature: 1e-5 });
    const retrieval = { task: 'retrieval', model: 'pretrained: $/cold, freeze_vit: true' };
    const held = [
      `data.eval=[{ type: jsonl, path: ${folder}/data.jsonl }]`,
      'run.eval_every=2',
      'run.batch_size_train=6',
    ];
    const soft = 'run.hard_negatives=[100, 200]';
    expect(await train(await recipe('held-hard', retrieval, ...still, ...held))).toBe(true);
    expect(await train(await recipe('held-soft', retrieval, ...still, ...held, soft))).toBe(true);
    const [hard, easy] = [(await steps('held-hard')).at(-1), (await steps('held-soft')).at(-1)];
    expect(easy.itm).not.toBe(hard.itm);
    expect(easy.eval_itm).toBe(hard.eval_itm);
  });

  it('are needed to stop early', async () => {
    const wrong = recipe('wrong', settings, ...still, 'run.patience=1');
    await expect(train(await wrong)).rejects.toThrow(/run\.patience: .*no data\.eval/);
  });
});

describe('measuring what the model does along the way', () => {
  it.each<Settings & { metric: string }>([
    { task: 'caption', metric: 'CIDEr', model: 'pretrained: $/two, prompt: a cat, freeze_vit: true' },
    { task: 'caption', metric: 'CIDEr', model: 'pretrained: $/two', run: ', ema: 0.9' },
    { task: 'retrieval', metric: 'recall', model: 'pretrained: $/one' },
    { task: 'vqa', metric: 'accuracy', model: 'pretrained: $/two', file: 'questions.jsonl' },
  ])('$task by $metric, of the model that is then written', async ({ metric, run = '', ...settings }) => {
    const file = settings.file ?? 'data.jsonl';
    const given = await recipe(`measured-${metric}${run.length}`, {
      ...settings,
      data: `, eval: [{ type: jsonl, path: ${join(folder, file)} }]`,
      run: `, eval_every: 3, eval_limit: 5, eval_metric: ${metric}${run}`,
    });
    const measure = heldOutMetric(given, {});
    const seen: string[] = [];
    const kept = (model: string) => {
      seen.push(model);
      return measure!(model);
    };
    expect(await train(given, { measure: kept })).toBe(true);
    const last = JSON.parse((await metrics(`measured-${metric}${run.length}`)).trim().split('\n').at(-1)!);
    expect(last.eval_loss).toEqual(expect.any(Number));
    const { output_dir } = given.run;
    expect(last[`eval_${metric}`]).toBe(await measure!(join(output_dir, 'model')));
    expect(seen).toEqual([join(output_dir, 'measured')]);
    expect(existsSync(seen[0]!)).toBe(false);
    expect(await readFile(join(output_dir, 'report.html'), 'utf8')).toContain(`<figcaption>eval_${metric} <b>`);
  });

  it('is interrupted with the run, and measured when it goes on', async () => {
    const settings = {
      task: 'caption',
      model: 'pretrained: $/two, prompt: a cat, freeze_vit: true',
      data: `, eval: [{ type: jsonl, path: ${join(folder, 'data.jsonl')} }]`,
      run: ', eval_every: 2, eval_limit: 5, eval_metric: CIDEr',
    };
    const whole = await recipe('cider', settings);
    expect(await train(whole, { measure: heldOutMetric(whole, {}) })).toBe(true);
    const given = await recipe('cider-stopped', settings);
    const stop = new AbortController();
    const { signal } = stop;
    const measure = (model: string) => {
      stop.abort();
      return heldOutMetric(given, { signal })!(model);
    };
    expect(await train(given, { signal, measure })).toBe(false);
    expect(await steps('cider-stopped')).toHaveLength(1);
    expect(await train(given, { resume: true, measure: heldOutMetric(given, {}) })).toBe(true);
    expect(await metrics('cider-stopped')).toBe(await metrics('cider'));
  });

  it('wants held-out data, and what measures', async () => {
    const settings = { task: 'caption', model: 'pretrained: $/two', run: ', eval_metric: CIDEr' };
    await expect(train(await recipe('no-measure', settings))).rejects.toThrow(
      /run\.eval_metric: expected loss, because/,
    );
    const measure = async () => 0;
    await expect(train(await recipe('no-data', settings), { measure })).rejects.toThrow(
      /run\.eval_metric: expected held-out data, but there is no data\.eval/,
    );
    await expect(recipe('wrong-metric', { ...settings, run: ', eval_metric: recall' })).rejects.toThrow(
      /run\.eval_metric: .*"loss"\|"CIDEr"/,
    );
    const twice = await recipe('two-sets', settings, `data.eval=[{type: folder, path: a}, {type: folder, path: b}]`);
    expect(() => heldOutMetric(twice, {})).toThrow(/expected one dataset in data\.eval, found 2/);
  });
});

describe('a share of the starting weights', () => {
  const settings = { task: 'retrieval', model: 'pretrained: $/one' };

  it('stays in the model, and changes nothing of how it is trained', async () => {
    for (const share of [0, 0.5]) await train(await recipe(`share-${share}`, settings, `run.start_share=${share}`));
    expect(await metrics('share-0.5')).toBe(await metrics('share-0'));
    const [start, whole, half] = [
      await readAll('two'),
      await readAll('share-0/model'),
      await readAll('share-0.5/model'),
    ];
    const trained = Object.entries(half).filter(([name, { dtype }]) => start[name] && dtype === 'float32');
    expect(trained.length).toBeGreaterThan(50);
    for (const [name, v] of trained) {
      const [a, b] = [toNumbers(start[name]!), toNumbers(whole[name]!)];
      const errors = toNumbers(v).map((x, k) => Math.abs(x - (a[k]! + b[k]!) / 2));
      expect(Math.max(...errors), name).toBeLessThan(1e-6);
    }
  });

  it('does not go with patience', async () => {
    const changes = ['run.start_share=0.5', 'run.patience=1'];
    await expect(train(await recipe('share-patience', settings, ...changes))).rejects.toThrow(
      'run.start_share: expected 0, because of run.patience',
    );
  });
});

it('has to fit the positions of a decoder: what it is to learn', async () => {
  const long = await recipe('long', { task: 'caption', model: 'pretrained: $/two' }, 'data.max_txt_len=100000');
  await expect(train(long)).rejects.toThrow(
    /data\.max_txt_len: expected at most \d+, as the language model has \d+ positions/,
  );
});
