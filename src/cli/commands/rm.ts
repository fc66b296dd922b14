import { Command } from 'commander';
import { DataError } from '../../core/index.ts';
import { hubSettings, listCachedModels, removeCachedModel } from '../../hub/index.ts';

export const rm = new Command('rm')
  .description('remove a model from the Hugging Face cache')
  .argument('<model>', 'owner/name')
  .action(async (model: string) => {
    const settings = await hubSettings();
    const cached = await listCachedModels(settings);
    if (!cached.some(({ id }) => id === model))
      throw new DataError(`${model}: no such model in ${settings.cacheFolder}`);
    await removeCachedModel(model, settings);
  });
