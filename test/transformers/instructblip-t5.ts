import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Checkpoint, writeJson, writeSafetensors } from '../../src/hub/index.ts';
import { goldenPath, readJson } from '../golden/fixtures.ts';

/** An InstructBLIP with a T5: image encoder and Q-Former of one golden checkpoint, language model of another. */
export async function writeInstructBlipT5(folder: string): Promise<string> {
  const [instruct, t5] = ['checkpoints/instructblip-vicuna', 'checkpoints/blip2-t5'] as const;
  const language = await readJson<Record<string, unknown>>(`${t5}/config.json`);
  const { text_config, image_token_index, use_decoder_only_language_model } = language;
  const config = await readJson<object>(`${instruct}/config.json`);
  const changed = { text_config, image_token_index, use_decoder_only_language_model };
  await writeJson(join(folder, 'config.json'), { ...config, ...changed });
  const tensorsOf = async (path: string, ofLanguage: boolean) => {
    const tensors = Object.entries(await (await Checkpoint.open(goldenPath(path))).readAll());
    return tensors.filter(([name]) => name.startsWith('language_') === ofLanguage);
  };
  const tensors = [...(await tensorsOf(instruct, false)), ...(await tensorsOf(t5, true))];
  await writeSafetensors(join(folder, 'model.safetensors'), tensors, { format: 'pt' });
  await copyMatching(t5, folder, /token.*\.json$/);
  await copyMatching(instruct, folder, /processor_config\.json$/);
  await copyMatching(`${instruct}/qformer_tokenizer`, join(folder, 'qformer_tokenizer'), /^/);
  return folder;
}

async function copyMatching(from: string, to: string, wanted: RegExp): Promise<void> {
  await mkdir(to, { recursive: true });
  const files = await readdir(goldenPath(from), { withFileTypes: true });
  for (const { name } of files.filter((file) => file.isFile() && wanted.test(file.name))) {
    await copyFile(goldenPath(`${from}/${name}`), join(to, name));
  }
}
