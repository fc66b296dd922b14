import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeRandomModel } from '../../test/random-model.ts';
import { readJsonObject, writeJson } from '../hub/index.ts';
import { readPretrained } from './pretrained.ts';

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
