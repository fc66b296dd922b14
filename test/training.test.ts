/** Stage 1 trained for a few steps on small models: exact resumption, frozen weights, and what bad data says. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { floats, toNumbers, type Value } from '../src/core/index.ts';
import { Checkpoint, writeJson, writeSafetensors } from '../src/hub/index.ts';
import { Blip2 } from '../src/pipelines/index.ts';
import { readRecipe, type TrainOptions, train } from '../src/training/index.ts';
import { goldenPath } from './golden/fixtures.ts';
import { bertOf, writeRandomModel } from './random-model.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-train-'));
  await writeParts();
  await writePictures();
});
afterAll(() => rm(folder, { recursive: true }));

/** An image encoder and a BERT out of a random model. */
async function writeParts(): Promise<void> {
  const whole = join(folder, 'whole');
  await writeRandomModel(whole);
  const read = async (file: string) => JSON.parse(await readFile(join(whole, file), 'utf8'));
  const { vision_config, qformer_config } = await read('config.json');
  const tensors = await (await Checkpoint.open(whole)).readAll();
  const vision = Object.entries(tensors).filter(([name]) => name.startsWith('vision_model.'));
  await writeJson(join(folder, 'encoder/config.json'), vision_config);
  await writeJson(join(folder, 'encoder/preprocessor_config.json'), await read('preprocessor_config.json'));
  await writeSafetensors(
    join(folder, 'encoder/model.safetensors'),
    vision.map(([name, v]) => [name.slice('vision_model.'.length), v] as const),
  );
  await writeJson(join(folder, 'bert/config.json'), { ...qformer_config, hidden_act: 'gelu', layer_norm_eps: 1e-12 });
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    await writeJson(join(folder, 'bert', file), await read(file));
  await writeSafetensors(join(folder, 'bert/model.safetensors'), bertOf(tensors));
  await writeHubFolders(tensors);
}

/** A CLIP and a BERT as the hub has them: whole, the one with its text side, the other without its tokens' names. */
async function writeHubFolders(tensors: Readonly<Record<string, Value>>): Promise<void> {
  const read = async (file: string) => JSON.parse(await readFile(file, 'utf8'));
  const vision_config = await read(goldenPath('vit/clip/hf/config.json'));
  await writeJson(join(folder, 'clip/config.json'), { model_type: 'clip', vision_config, text_config: {} });
  await writeJson(join(folder, 'clip/preprocessor_config.json'), {
    ...{ feature_extractor_type: 'CLIPFeatureExtractor', size: vision_config.image_size, resample: 3 },
    ...{ do_center_crop: true, crop_size: vision_config.image_size, do_normalize: true, do_resize: true },
    ...{ image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] },
  });
  const one = floats([1], [1]);
  await writeSafetensors(join(folder, 'clip/model.safetensors'), {
    ...(await (await Checkpoint.open(goldenPath('vit/clip/hf'))).readAll()),
    ...{ logit_scale: one, 'text_model.final_layer_norm.bias': one, 'visual_projection.weight': one },
  });
  const bert = { config: 'config.json', tokenizer: 'tokenizer.json' };
  for (const file of Object.values(bert))
    await writeJson(join(folder, 'whole-bert', file), await read(join(folder, 'bert', file)));
  await writeJson(join(folder, 'whole-bert/tokenizer_config.json'), { do_lower_case: true, model_max_length: 512 });
  await writeSafetensors(
    join(folder, 'whole-bert/model.safetensors'),
    bertOf(tensors).map(([name, v]) => [`bert.${name}`, v] as const),
  );
}

async function writePictures(): Promise<void> {
  const lines: string[] = [];
  for (const [i, background] of ['red', 'blue', 'green', 'white', 'black', 'orange', 'pink', 'gray'].entries()) {
    await sharp({ create: { width: 30 + i, height: 28, channels: 3, background } })
      .png()
      .toFile(join(folder, `${i}.png`));
    lines.push(
      JSON.stringify({
        image: `${i}.png`,
        caption: i % 2 ? 'a blue cat on the left' : `a red ${'dog '.repeat(1 + i)}`,
      }),
    );
  }
  await writeFile(join(folder, 'data.jsonl'), `${lines.join('\n')}\n`);
  await writeFile(join(folder, 'empty.png'), '');
  await writeFile(join(folder, 'bad.png'), 'not a picture');
  await writeFile(join(folder, 'bad.jsonl'), `${[...lines, '{"image": "bad.png", "caption": "a cat"}'].join('\n')}\n`);
}

async function recipe(output: string, data = 'data.jsonl', ...changes: string[]) {
  const file = join(folder, 'recipe.yaml');
  await writeFile(
    file,
    `task: stage1
model: { image_encoder: ${folder}/encoder, image_feature_pooling: 2, bert: ${folder}/bert, num_query_token: 4, embed_dim: 8 }
data: { train: [{ type: jsonl, path: ${join(folder, data)} }], max_txt_len: 12, feature_cache: ${folder}/cache }
run: { output_dir: ${join(folder, output)}, batch_size_train: 4, max_steps: 6, warmup_steps: 2, init_lr: 1.0e-3, log_every: 1, save_every: 2, seed: 3 }
`,
  );
  return readRecipe(file, changes);
}

describe('on a CLIP and a BERT as the hub has them', () => {
  const from = (...changes: string[]) =>
    recipe(
      'clip-run',
      'data.jsonl',
      `model.image_encoder=${folder}/clip`,
      `model.bert=${folder}/whole-bert`,
      ...changes,
    );

  it('freezes the encoder and trains ln_vision after it, which is new and begins as nothing', async () => {
    expect(await train(await from('model.image_feature_pooling=1', 'run.init_lr=0.01'))).toBe(true);
    const start = await (await Checkpoint.open(goldenPath('vit/clip/hf'))).readAll();
    const model = await weights('clip-run');
    for (const [name, v] of Object.entries(start)) expect(model[name], name).toEqual(v);
    const scale = toNumbers(model['vision_model.ln_vision.weight']!);
    expect(new Set(scale).size).toBeGreaterThan(1);
    for (const x of scale) expect(Math.abs(x - 1)).toBeLessThan(0.1); // six steps of Adam at a hundredth
  });

  it('anchors queries by what ln_vision makes of the features, and goes on with them', async () => {
    const run = (...changes: string[]) => from('model.image_feature_pooling=1', 'run.warmup_lr=0', ...changes);
    const first = 'run.max_steps=1'; // the rate of the first step is 0: what training begins with
    expect(await train(await run(first, `run.output_dir=${folder}/as-drawn`))).toBe(true);
    expect(await train(await run(first, `run.output_dir=${folder}/anchored`, 'run.anchor_queries=true'))).toBe(true);
    const [drawn, anchored] = [await weights('as-drawn'), await weights('anchored')];
    const changed = Object.keys(drawn).filter((name) => !isDeepStrictEqual(drawn[name], anchored[name]));
    expect(changed).not.toEqual([]);
    for (const name of changed) expect(name).toMatch(/crossattention\.attention\.(query|key)\.(weight|bias)$/);
    const all = `run.output_dir=${folder}/anchored-on`;
    expect(await train(await run(all, 'run.anchor_queries=true'))).toBe(true);
  });

  it('anchors queries on a frozen encoder alone', async () => {
    const run = from(`run.output_dir=${folder}/moving`, 'run.anchor_queries=true', 'model.freeze_vit=false');
    await expect(train(await run)).rejects.toThrow(/run\.anchor_queries: expected false, because model\.freeze_vit/);
  });

  it.each(['exchange_cells', 'style_shift'])(
    'changes features of what a frozen encoder sees alone: %s',
    async (key) => {
      const run = from(`run.output_dir=${folder}/moving`, `data.${key}=0.5`, 'model.freeze_vit=false');
      await expect(train(await run)).rejects.toThrow(`data.${key}: expected 0, because model.freeze_vit is false`);
    },
  );

  it('writes a model that matches, with the same features as in training', async () => {
    const model = await Blip2.fromPretrained(join(folder, 'clip-run/model'));
    const [match] = await model.match(join(folder, '0.png'), ['a red dog']);
    expect(match!.itm).toBeGreaterThan(0);
    await model.release();
  });

  it('says which weights are missing instead of drawing them', async () => {
    const file = join(folder, 'whole-bert/model.safetensors');
    const tensors = await (await Checkpoint.open(file)).readAll();
    const { 'bert.embeddings.LayerNorm.weight': _, ...rest } = tensors;
    await writeSafetensors(file, rest);
    await expect(train(await from(`run.output_dir=${join(folder, 'missing')}`))).rejects.toThrow(
      /lacks a weight: qformer\.layernorm\.weight/,
    );
  });
});

const metrics = (run: string) => readFile(join(folder, run, 'metrics.jsonl'), 'utf8');
const weights = async (run: string) => (await Checkpoint.open(join(folder, run, 'model'))).readAll();

describe('a run', () => {
  beforeAll(async () => {
    expect(await train(await recipe('whole-run'))).toBe(true);
  });

  it('goes on after an interruption as if there had been none', async () => {
    const stop = new AbortController();
    const options: TrainOptions = { signal: stop.signal, onProgress: ({ step }) => step === 2 && stop.abort() };
    expect(await train(await recipe('interrupted'), options)).toBe(false);
    expect(await train(await recipe('interrupted'), { resume: true })).toBe(true);
    expect(await metrics('interrupted')).toBe(await metrics('whole-run'));
    expect(await weights('interrupted')).toEqual(await weights('whole-run'));
  });

  it('goes on from its newest checkpoint after it was killed', async () => {
    const killed = new Error('killed');
    const die = ({ step }: { step: number }) => {
      if (step === 3) throw killed; // after step 3 was computed and logged, before anything of it was saved
    };
    await expect(train(await recipe('killed'), { onProgress: die })).rejects.toBe(killed);
    expect(await train(await recipe('killed'), { resume: true })).toBe(true);
    expect(await metrics('killed')).toBe(await metrics('whole-run'));
    expect(await weights('killed')).toEqual(await weights('whole-run'));
  });

  it('removes what a kill left half-written, and nothing else', async () => {
    const path = join(folder, 'whole-run');
    const half = '.step-00000007.safetensors.0123456789ab.tmp';
    const left = [`checkpoints/${half}`, `model/${half}`, '.report.html.0123456789ab.tmp', 'measured/config.json'];
    await mkdir(join(path, 'measured'));
    for (const file of [...left, '.notes.tmp']) await writeFile(join(path, file), '');
    const before = await readdir(path, { recursive: true });
    expect(await train(await recipe('whole-run'), { resume: true })).toBe(true);
    const gone = new Set([...left, 'measured']);
    expect(new Set(await readdir(path, { recursive: true }))).toEqual(new Set(before.filter((f) => !gone.has(f))));
    await rm(join(path, '.notes.tmp'));
  });

  it('averages its weights beside training, through a kill too', async () => {
    const averaged = (run: string) => recipe(run, 'data.jsonl', 'run.ema=0.999');
    await train(await averaged('averaged'));
    expect(await metrics('averaged')).toBe(await metrics('whole-run'));
    const last = await (
      await Checkpoint.open(join(folder, 'averaged/checkpoints/step-00000006.safetensors'))
    ).readAll();
    const model = await weights('averaged');
    const trained = Object.entries(await weights('whole-run')).filter(([name]) => !name.startsWith('vision_model.'));
    for (const [name, { data }] of trained) {
      expect(last[name]!.data, name).toEqual(data);
      expect(model[name]!.data, name).toEqual(last[`average.${name}`]!.data);
    }
    expect(model.temp!.data).not.toEqual(last.temp!.data);

    const killed = new Error('killed');
    const die = ({ step }: { step: number }) => {
      if (step === 3) throw killed;
    };
    await expect(train(await averaged('averaged-killed'), { onProgress: die })).rejects.toBe(killed);
    expect(await train(await averaged('averaged-killed'), { resume: true })).toBe(true);
    expect(await weights('averaged-killed')).toEqual(model);
    await expect(train(await averaged('whole-run'), { resume: true })).rejects.toThrow(
      /does not fit this recipe: average/,
    );
  });

  it('leaves the frozen encoder as it was, byte for byte, and moves what trains', async () => {
    const model = await weights('whole-run');
    const encoder = await (await Checkpoint.open(join(folder, 'encoder'))).readAll();
    for (const [name, v] of Object.entries(encoder)) expect(model[`vision_model.${name}`], name).toEqual(v);
    expect(Object.keys(model).filter((name) => name.startsWith('vision_model.'))).toHaveLength(
      Object.keys(encoder).length,
    );
    expect(model.temp!.data[0]).not.toBe(Math.fround(0.07));
  });

  it('starts from what another run wrote: the same step at rate zero gives the same losses', async () => {
    const rate = ['run.init_lr=1e-12', 'run.min_lr=0', 'run.warmup_lr=0', 'run.max_steps=1', 'run.save_every=1'];
    const from = (folder: string) => [`model={pretrained: ${folder}}`, ...rate];
    await train(await recipe('second-run', 'data.jsonl', ...from(join(folder, 'whole-run/model'))));
    await train(await recipe('third-run', 'data.jsonl', ...from(join(folder, 'second-run/model'))));
    const [second, third] = [JSON.parse(await metrics('second-run')), JSON.parse(await metrics('third-run'))];
    expect(third.loss).toBeCloseTo(second.loss, 6);
    const [start, end] = [await weights('whole-run'), await weights('second-run')];
    expect(Object.keys(end).sort()).toEqual(Object.keys(start).sort());
    for (const [name, { data }] of Object.entries(start)) expect(end[name]!.data, name).toEqual(data);
  });

  it('goes on with finer features than the model had, and its folder says so', async () => {
    const model = `model={pretrained: ${folder}/whole-run/model, image_feature_pooling: 1}`;
    expect(await train(await recipe('finer', 'data.jsonl', model))).toBe(true);
    const pooling = async (run: string) => {
      const config = JSON.parse(await readFile(join(folder, run, 'model/config.json'), 'utf8'));
      return config.image_feature_pooling;
    };
    expect([await pooling('whole-run'), await pooling('finer')]).toEqual([2, 1]);
    expect(await metrics('finer')).not.toBe(await metrics('whole-run'));
  });

  it('moves features by what pictures of one caption differ in, and goes on so after an interruption', async () => {
    const shifted = (run: string) => recipe(run, 'data.jsonl', 'data.style_shift=1');
    expect(await train(await shifted('shifted'))).toBe(true);
    expect(await metrics('shifted')).not.toBe(await metrics('whole-run'));
    const stop = new AbortController();
    const options: TrainOptions = { signal: stop.signal, onProgress: ({ step }) => step === 2 && stop.abort() };
    expect(await train(await shifted('shifted-in-parts'), options)).toBe(false);
    expect(await train(await shifted('shifted-in-parts'), { resume: true })).toBe(true);
    expect(await metrics('shifted-in-parts')).toBe(await metrics('shifted'));
  });

  it('shows what it measured, as a page and to TensorBoard, and starts an event file when it goes on', async () => {
    const report = await readFile(join(folder, 'killed/report.html'), 'utf8');
    const { step, ...measured } = JSON.parse((await metrics('killed')).trim().split('\n').at(-1)!);
    expect(report).toContain(`Up to step ${step}.`);
    for (const name of [...Object.keys(measured), 'images_per_second']) {
      expect(report, name).toMatch(new RegExp(`<figcaption>${name} <b>.*polyline`, 's'));
    }
    expect(report).toContain('max_steps: 6');
    const events = (run: string) => readdir(join(folder, run, 'tensorboard'));
    expect(await events('whole-run')).toEqual(['events.out.tfevents.0000000000']);
    expect((await events('killed')).sort()).toEqual([
      'events.out.tfevents.0000000000',
      'events.out.tfevents.0000000002',
    ]);
  });

  it('is not written over', async () => {
    await expect(train(await recipe('whole-run'))).rejects.toThrow(/holds a run already: add --resume/);
  });

  it('is not written over where it was interrupted before its first step, and goes on from there', async () => {
    expect(await train(await recipe('at-once'), { signal: AbortSignal.abort() })).toBe(false);
    expect(await metrics('at-once')).toBe('');
    await expect(train(await recipe('at-once'))).rejects.toThrow(/holds a run already: add --resume/);
    expect(await train(await recipe('at-once'), { resume: true })).toBe(true);
    expect(await metrics('at-once')).toBe(await metrics('whole-run'));
  });
});

it('computes a batch in parts as it computes the whole', async () => {
  // All pictures in every step, so that the order does not matter; it would for the noise that draws ITM's negatives.
  const same = ['run.dropout=0', 'run.loss_weights={ itc: 1, itm: 0, itg: 2 }', 'run.save_every=6'];
  await train(await recipe('one-part', 'data.jsonl', ...same, 'run.batch_size_train=8'));
  await train(await recipe('four-parts', 'data.jsonl', ...same, 'run.batch_size_train=2', 'run.accum_grad_iters=4'));
  const lines = async (run: string) =>
    (await metrics(run))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  const [whole, parts] = [await lines('one-part'), await lines('four-parts')];
  expect(parts).toHaveLength(whole.length);
  whole.forEach((line, i) => {
    for (const name of ['loss', 'itc', 'itg', 'grad_norm']) {
      expect(Math.abs(parts[i][name] / line[name] - 1), `${name}, step ${i}`).toBeLessThan(1e-3);
    }
  });
  await expect(
    train(await recipe('some-pairs', 'data.jsonl', 'run.accum_grad_iters=2', 'run.matching_pairs=2')),
  ).rejects.toThrow(/run\.accum_grad_iters: expected 1, because of run\.matching_pairs/);
});

it('names a picture that cannot be decoded, or leaves it out and says so', async () => {
  await expect(train(await recipe('bad', 'bad.jsonl'))).rejects.toThrow(/bad\.png/);
  const messages: string[] = [];
  expect(await train(await recipe('skipped', 'bad.jsonl'), { skipBad: true, onMessage: (m) => messages.push(m) })).toBe(
    true,
  );
  expect(messages.filter((m) => m.startsWith('left out') && m.includes('bad.png'))).toHaveLength(1);
});

it('refuses unknown keys and wrong types by name', async () => {
  await expect(recipe('x', 'data.jsonl', 'run.init_rl=1')).rejects.toThrow(
    /run\.init_rl.*did you mean (run\.)?init_lr/,
  );
  await expect(recipe('x', 'data.jsonl', 'run.seed=often')).rejects.toThrow(/run\.seed/);
  await expect(recipe('x', 'data.jsonl', 'run.loss_weights={ itc: 0, itm: 0, itg: 0 }')).rejects.toThrow(
    /run\.loss_weights: expected one weight above 0/,
  );
  await expect(recipe('x', 'data.jsonl', 'run.beta2=1')).rejects.toThrow(/run\.beta2/); // divides by 1 − β₂ᵗ = 0
});
