import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { blip } from '../../test/blip-processor.ts';
import { ConfigError } from '../core/index.ts';
import { parseImageProcessor, readImageProcessor, readImageProcessorJson } from './index.ts';

let folder: string;
const write = (name: string, json: unknown) => writeFile(join(folder, name), JSON.stringify(json));
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'image-processor-'));
});
afterAll(() => rm(folder, { recursive: true }));

it('reads the image processor where transformers 4 and 5 write it', async () => {
  const [four, five] = [join(folder, 'preprocessor_config.json'), join(folder, 'processor_config.json')];
  await expect(readImageProcessor(folder)).rejects.toThrow(ConfigError);
  await expect(readImageProcessor(folder)).rejects.toThrow(`${four}: expected a JSON file`);

  await write('processor_config.json', { processor_class: 'Blip2Processor' }); // as 4 writes it
  await expect(readImageProcessor(folder)).rejects.toThrow(`${four}: expected a JSON file`);
  await write('processor_config.json', { image_processor: 'BlipImageProcessor' });
  await expect(readImageProcessor(folder)).rejects.toThrow(`${five}: image_processor: expected an object`);
  await write('processor_config.json', { image_processor: { ...blip, resample: 1 } });
  await expect(readImageProcessor(folder)).rejects.toThrow(`${five}: image_processor: resample: expected 2`);

  await write('processor_config.json', { image_processor: blip, num_query_tokens: 32 });
  expect(await readImageProcessor(folder)).toEqual(parseImageProcessor(blip));
  expect((await readImageProcessorJson(folder)).json).toEqual(blip);

  const other = { ...blip, size: { height: 5, width: 5 } };
  await write('preprocessor_config.json', other);
  expect(await readImageProcessor(folder)).toEqual(parseImageProcessor(other));
});
