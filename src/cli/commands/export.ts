import { Command, Option } from 'commander';
import { UsageError } from '../../core/index.ts';
import { convertGgufToCheckpoint } from '../../hub/index.ts';
import { exportModel, exportOnnx, findModel, writeQuantised } from '../../pipelines/index.ts';
import { interruption } from '../interrupt.ts';
import { positiveNumber } from '../options.ts';
import { note } from '../output.ts';
import { withPartProgress } from '../part-progress.ts';

interface Options {
  readonly compact?: boolean;
  readonly words?: number;
  readonly onnx?: boolean;
  readonly precision?: 'int8' | 'int4';
}

export const exportCommand = new Command('export')
  .description('write a model to a folder that transformers loads')
  .argument(
    '<model>',
    'a name that `blip2 list` shows, a folder, a Hugging Face id, or the .gguf file of a Llama model',
  )
  .argument('<folder>', 'where to')
  .option('--compact', 'for blip2 alone: the largest matrices as int8 with a scale per channel, the rest as float16')
  .option('--words <n>', 'with --compact: only so many word pieces, the commonest', positiveNumber)
  .option('--onnx', 'ONNX graphs and their weights instead, for any program with ONNX Runtime')
  .addOption(
    new Option(
      '--precision <p>',
      'for blip2 alone: linear layers in int8, or those of the language model in int4',
    ).choices(['int8', 'int4']),
  )
  .action(async (model: string, folder: string, { compact, words, onnx, precision }: Options) => {
    if (words !== undefined && !compact) throw new UsageError('export: --words goes with --compact');
    if ([compact, onnx, precision].filter(Boolean).length > 1) {
      throw new UsageError('export: --compact, --onnx and --precision do not go together: choose one');
    }
    const isGguf = model.endsWith('.gguf');
    if (isGguf && (compact || onnx || precision)) {
      throw new UsageError(
        'export: a .gguf file becomes a language model for transformers alone: leave out --compact, --onnx and --precision',
      );
    }
    if (isGguf) await convertGgufToCheckpoint(model, folder);
    else {
      const from = await findModel(model, { signal: interruption, onWait: note });
      if (onnx) await exportOnnx(from, folder, { signal: interruption });
      else if (precision) {
        await withPartProgress((onProgress) =>
          writeQuantised(from, folder, precision, { onProgress, signal: interruption }),
        );
      } else
        for (const remark of await exportModel(from, folder, { compact, words, signal: interruption })) note(remark);
    }
    note(`exported to ${folder}`);
  });
