import { Command } from 'commander';
import { convertGgufToCheckpoint, resolveModel } from '../../hub/index.ts';
import { exportModel } from '../../pipelines/index.ts';
import { interruption } from '../interrupt.ts';
import { note } from '../output.ts';

export const exportCommand = new Command('export')
  .description('copy a model into a folder in the Hugging Face layout')
  .argument('<model>', 'a folder, owner/name of a cached model, or the .gguf file of a Llama model')
  .argument('<folder>', 'where to')
  .option('--compact', 'the largest matrices as int8 with a scale per channel, the rest as float16')
  .action(async (model: string, folder: string, options: { compact?: boolean }) => {
    if (model.endsWith('.gguf')) await convertGgufToCheckpoint(model, folder);
    else await exportModel(await resolveModel(model, { signal: interruption }), folder, options);
    note(`exported to ${folder}`);
  });
