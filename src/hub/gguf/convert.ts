import { join } from 'node:path';
import { floatToHalf } from '../../core/index.ts';
import { writeJson } from '../atomic.ts';
import { streamSafetensors, type TensorSource } from '../safetensors.ts';
import { GgufFile } from './file.ts';
import { llamaConfig, llamaName, readLlamaTensor } from './llama.ts';
import { bpeTokenizer } from './tokenizer.ts';

/**
 * Converts a GGUF file of a Llama model into a folder in Hugging Face's layout: model.safetensors (float16, one tensor
 * in memory at a time), config.json, tokenizer.json and tokenizer_config.json. The weights are written last, so that a
 * folder that has them is complete. Throws CheckpointError for another architecture, tensor type or tokenizer.
 */
export async function convertGgufToCheckpoint(ggufPath: string, folder: string): Promise<void> {
  const file = await GgufFile.open(ggufPath);
  const config = llamaConfig(file);
  const { tokenizer, tokenizerConfig } = bpeTokenizer(file);
  const sources = [...file.tensors.values()].map((tensor): TensorSource => {
    return {
      name: llamaName(file, tensor),
      dtype: 'float16',
      shape: tensor.shape,
      data: async () => floatToHalf(await readLlamaTensor(file, tensor, config)),
    };
  });
  await writeJson(join(folder, 'config.json'), config);
  await writeJson(join(folder, 'tokenizer.json'), tokenizer);
  await writeJson(join(folder, 'tokenizer_config.json'), tokenizerConfig);
  await streamSafetensors(join(folder, 'model.safetensors'), sources, { format: 'pt' });
}
