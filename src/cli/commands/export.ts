import { Command } from 'commander';
import { UsageError } from '../../core/index.ts';
import { convertGgufToCheckpoint } from '../../hub/index.ts';
import { exportModel, exportOnnx, findModel } from '../../pipelines/index.ts';
import { interruption } from '../interrupt.ts';
import { note } from '../output.ts';

export const exportCommand = new Command('export')
  .description('write a model to a folder that transformers loads')
  .argument(
    '<model>',
    'a name that `blip2 list` shows, a folder, a Hugging Face id, or the .gguf file of a Llama model',
  )
  .argument('<folder>', 'where to')
  .option('--compact', 'for blip2 alone: the largest matrices as int8 with a scale per channel, the rest as float16')
  .option('--onnx', 'ONNX graphs and their weights instead, for any program with ONNX Runtime')
  .action(async (model: string, folder: string, { compact, onnx }: { compact?: boolean; onnx?: boolean }) => {
    if (compact && onnx) throw new UsageError('export: --compact and --onnx do not go together: choose one');
    if (model.endsWith('.gguf')) await convertGgufToCheckpoint(model, folder);
    else {
      const from = await findModel(model, { signal: interruption });
      if (onnx) await exportOnnx(from, folder);
      else for (const remark of await exportModel(from, folder, { compact })) note(remark);
    }
    note(`exported to ${folder}`);
  });
