import { cp, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeRandomModel } from '../../test/random-model.ts';
import { Checkpoint, readJsonObject, writeJson } from '../hub/index.ts';
import { readEncoder, readPretrained } from './pretrained.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-pretrained-'));
  await writeRandomModel(folder);
});
afterAll(() => rm(folder, { recursive: true }));

it('reads the pictures of a folder that transformers 5 saved as those of 4', async () => {
  const { images } = await readPretrained(folder);
  const preprocessor = join(folder, 'preprocessor_config.json');
  await writeJson(join(folder, 'processor_config.json'), { image_processor: await readJsonObject(preprocessor) });
  await rename(preprocessor, join(folder, 'elsewhere.json'));
  const { images: again } = await readPretrained(folder);
  expect(again.preprocessor).toEqual(images.preprocessor);
  expect(again.processor).toEqual(images.processor);
});

it('reads SigLIP without the head that pools its patches', async () => {
  const siglip = join(folder, 'siglip');
  await cp(fileURLToPath(new URL('../models/testdata/siglip_vision_model', import.meta.url)), siglip, {
    recursive: true,
  });
  const values = { image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5], resample: 3 };
  const size = { height: 30, width: 30 };
  await writeJson(join(siglip, 'preprocessor_config.json'), {
    image_processor_type: 'SiglipImageProcessor',
    size,
    ...values,
  });
  const options = { image_encoder: siglip, do_fit: false, image_feature_pooling: 2, freeze_vit: true };
  const { state, encoder, processor } = await readEncoder(options);
  expect(processor).toMatchObject({ size, centerCrop: false });
  expect([...state.keys()].filter((name) => /^(head|embeddings)/.test(name))).toEqual([
    'embeddings.patch_embedding.bias',
    'embeddings.patch_embedding.weight',
    'embeddings.position_embedding.weight',
  ]);
  expect(encoder).toMatchObject({ width: 16, patchSize: 14, prefixTokens: 0 });
});

it('reads the scales of a compact model with its encoder', async () => {
  const compact = join(folder, 'compact');
  await writeRandomModel(compact, { quantised: true });
  const stored = (await Checkpoint.open(compact)).below('vision_model.');
  expect([...stored.keys()].some((name) => name.endsWith('.scale'))).toBe(true);
  expect([...(await readPretrained(compact)).images.state.keys()].sort()).toEqual([...stored.keys()].sort());
});
