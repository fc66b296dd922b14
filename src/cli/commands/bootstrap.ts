import { Command } from 'commander';
import { readRecipeFile } from '../../training/index.ts';
import { bootstrap as bootstrapDatasets, bootstrapRecipe } from '../bootstrap.ts';
import { interruption } from '../interrupt.ts';
import { withJson } from '../options.ts';
import { note, printRecord } from '../output.ts';
import { partProgress } from '../part-progress.ts';

export const bootstrap = withJson(new Command('bootstrap'))
  .description('caption the pictures of datasets anew and keep the best captions, as a recipe says (CapFilt)')
  .argument('<recipe>', 'a YAML file: its models, data and run; an interrupted run goes on where it stopped')
  .argument('[key=value...]', "laid over the recipe's, e.g. run.candidates=5")
  .option('--skip-bad', 'leave out records and pictures that cannot be used, and say which')
  .action(async (file: string, overrides: string[], options: { json?: boolean; skipBad?: boolean }) => {
    const recipe = await readRecipeFile(bootstrapRecipe, file, overrides);
    const { output } = recipe.run;
    const progress = partProgress();
    const running = bootstrapDatasets(recipe, {
      signal: interruption,
      onSkip: options.skipBad ? ({ message }) => note(`left out: ${message}`) : undefined,
      onProgress: (done, total) => progress.show({ part: 'captioning', done, total }),
    });
    const { pictures, kept } = await running.finally(progress.stop);
    printRecord({ output, pictures, kept }, options.json, () => `${output}: ${kept} of ${pictures} pictures`);
  });
