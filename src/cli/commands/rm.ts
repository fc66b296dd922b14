import { readdir } from 'node:fs/promises';
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
    // Also those that no branch stands for any more, or that were asked for by their commit.
    const snapshots = join(found.folder, 'snapshots');
    for (const commit of await readdir(snapshots).catch(() => [])) await removeQuantised(join(snapshots, commit));
    await removeCachedModel(model, settings);
  });
