/** Models that our training wrote, in shapes that transformers has: stage 1 on a golden image encoder, then stage 2. */
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { jsonObject } from '../../src/core/index.ts';
import { Checkpoint, readJsonObject, writeJson, writeSafetensors } from '../../src/hub/index.ts';
import { readRecipe, train } from '../../src/training/index.ts';
import { goldenPath } from '../golden/fixtures.ts';
import { bertOf, writeRandomModel } from '../random-model.ts';

/** Trains two steps of each stage: the folders of both models. */
export async function writeTrainedModels(folder: string): Promise<{ stage1: string; stage2: string }> {
  const golden = goldenPath('checkpoints/blip2-opt');
  const random = join(folder, 'random');
  await writeRandomModel(random, { language: true });
  await writePart(golden, join(folder, 'encoder'), { prefix: 'vision_model.', config: 'vision_config' });
  await copyFile(join(golden, 'preprocessor_config.json'), join(folder, 'encoder/preprocessor_config.json'));
  await writePart(random, join(folder, 'language'), { prefix: 'language_model.', config: 'text_config' });
  const { qformer_config } = await readJsonObject(join(random, 'config.json'));
  const bert = { hidden_act: 'gelu', layer_norm_eps: 1e-12, ...jsonObject(qformer_config, 'qformer_config') };
  await writeJson(join(folder, 'bert/config.json'), bert);
  await writeSafetensors(
    join(folder, 'bert/model.safetensors'),
    bertOf(await (await Checkpoint.open(random)).readAll()),
  );
  for (const part of ['language', 'bert']) {
    for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
      await copyFile(join(random, file), join(folder, part, file));
    }
  }
  await writePictures(folder);
  const encoder = `image_encoder: ${folder}/encoder, num_query_token: 4, embed_dim: 8`;
  const stage1 = await runRecipe(folder, 'stage1', `{ ${encoder}, bert: ${folder}/bert }`);
  const model = `{ stage1: ${stage1}, language_model: ${folder}/language }`;
  return { stage1, stage2: await runRecipe(folder, 'stage2', model) };
}

async function writePart(
  from: string,
  to: string,
  { prefix, config }: { prefix: string; config: string },
): Promise<void> {
  const json = JSON.parse(await readFile(join(from, 'config.json'), 'utf8'));
  const tensors = Object.entries(await (await Checkpoint.open(from)).readAll());
  const own = tensors.filter(([name]) => name.startsWith(prefix));
  await writeJson(join(to, 'config.json'), { hidden_act: 'gelu', layer_norm_eps: 1e-12, ...json[config] });
  await writeSafetensors(
    join(to, 'model.safetensors'),
    own.map(([name, v]) => [name.slice(prefix.length), v] as const),
  );
}

async function writePictures(folder: string): Promise<void> {
  const colours = ['red', 'blue', 'green', 'white'];
  for (const background of colours) {
    await sharp({ create: { width: 28, height: 28, channels: 3, background } })
      .png()
      .toFile(`${folder}/${background}.png`);
  }
  const records = colours.map((colour) => JSON.stringify({ image: `${colour}.png`, caption: `a ${colour} dog` }));
  await writeFile(join(folder, 'data.jsonl'), `${records.join('\n')}\n`);
}

async function runRecipe(folder: string, task: 'stage1' | 'stage2', model: string): Promise<string> {
  const file = join(folder, `${task}.yaml`);
  const run = `output_dir: ${folder}/${task}-run, batch_size_train: 4, max_steps: 2, warmup_steps: 1, init_lr: 1.0e-2, seed: 3`;
  await writeFile(
    file,
    `task: ${task}
model: ${model}
data: { train: [{ type: jsonl, path: ${folder}/data.jsonl }], max_txt_len: 12, feature_cache: ${folder}/cache }
run: { ${run} }
`,
  );
  await train(await readRecipe(file, []));
  return join(folder, `${task}-run`, 'model');
}
