import { join } from 'node:path';
import { Command } from 'commander';
import { DataError } from '../../core/index.ts';
import { hubSettings, listCachedModels, removeCachedModel } from '../../hub/index.ts';
import { removeQuantised } from '../../pipelines/index.ts';

export const rm = new Command('rm')
  .description('remove a model from the Hugging Face cache, and its quantised copies')
  .argument('<model>', 'owner/name')
  .action(async (model: string) => {
    const settings = await hubSettings();
    const cached = await listCachedModels(settings);
    const found = cached.find(({ id }) => id === model);
    if (!found) throw new DataError(`${model}: no such model in ${settings.cacheFolder}`);
    for (const commit of new Set(Object.values(found.refs))) {
      await removeQuantised(join(found.folder, 'snapshots', commit));
    }
    await removeCachedModel(model, settings);
  });
