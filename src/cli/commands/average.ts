import { Command } from 'commander';
import { averageModels, findModel } from '../../pipelines/index.ts';
import { interruption } from '../interrupt.ts';
import { note } from '../output.ts';

export const average = new Command('average')
  .description('write the mean of models that were trained from one start: often better than each of them')
  .argument('<folder>', 'where to')
  .argument('<models...>', 'two or more: names that `blip2 list` shows, folders, Hugging Face ids')
  .action(async (folder: string, models: readonly string[]) => {
    const from: string[] = [];
    for (const model of models) from.push(await findModel(model, { signal: interruption, onWait: note }));
    const { leftOut } = await averageModels(from, folder, { signal: interruption });
    note(`averaged ${models.length} models into ${folder}`);
    for (const [i, count] of leftOut.entries()) {
      if (count > 0)
        note(`left out ${count} word pieces that ${models[0]} has not: name ${models[i]} first to keep them`);
    }
  });
