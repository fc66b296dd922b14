import { Command } from 'commander';
import { resolveModel } from '../../hub/index.ts';
import { downloadProgress } from '../download-progress.ts';
import { interruption } from '../interrupt.ts';
import { withJson } from '../options.ts';
import { printRecord } from '../output.ts';

export const pull = withJson(new Command('pull'))
  .description('fetch a model into the Hugging Face cache')
  .argument('<model>', 'owner/name, or owner/name@revision')
  .action(async (model: string, options: { json?: boolean }) => {
    const folder = await resolveModel(model, { signal: interruption, onProgress: downloadProgress() });
    printRecord({ model, folder }, options.json, () => folder);
  });
