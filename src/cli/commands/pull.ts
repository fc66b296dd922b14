import { Command } from 'commander';
import { findModel, folderAt, type PrecisionChoice } from '../../pipelines/index.ts';
import { downloadProgress } from '../download-progress.ts';
import { interruption } from '../interrupt.ts';
import { withJson, withPrecision } from '../options.ts';
import { note, printRecord } from '../output.ts';
import { withPartProgress } from '../part-progress.ts';

interface Options {
  readonly json?: boolean;
  readonly precision?: PrecisionChoice;
}

export const pull = withJson(withPrecision(new Command('pull')))
  .description('fetch a model into the Hugging Face cache, and quantise it if asked')
  .argument('<model>', 'owner/name, or owner/name@revision')
  .action(async (model: string, { json, precision }: Options) => {
    const fetched = await findModel(model, { signal: interruption, onProgress: downloadProgress(), onWait: note });
    if (precision) note(`${model}: making it ready at the precision ${precision}`);
    const folder = await withPartProgress((onProgress) =>
      folderAt(fetched, { precision, onProgress, signal: interruption, onWait: note }),
    );
    printRecord({ model, folder }, json, () => folder);
  });
