import { Command } from 'commander';
import { hubSettings, listCachedModels } from '../../hub/index.ts';
import { bundledModels } from '../../pipelines/index.ts';
import { withJson } from '../options.ts';
import { printRecord } from '../output.ts';

export const list = withJson(new Command('list'))
  .description('the models at hand: those that come with blip2, and those in the Hugging Face cache')
  .action(async (options: { json?: boolean }) => {
    for (const [name, folder] of await bundledModels()) {
      printRecord({ model: name, folder, source: 'bundled' }, options.json, (m) => `${m.model}  (comes with blip2)`);
    }
    for (const { id, folder, bytes } of await listCachedModels(await hubSettings())) {
      printRecord(
        { model: id, folder, source: 'cache', bytes },
        options.json,
        (m) => `${m.model}  ${megabytes(bytes)}`,
      );
    }
  });

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
