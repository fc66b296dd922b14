import { Command } from 'commander';
import { type Progress, readRecipe, train as trainRecipe } from '../../training/index.ts';
import { heldOutMetric } from '../held-out-metric.ts';
import { interruption } from '../interrupt.ts';
import { note } from '../output.ts';
import { inWords, StatusLine } from '../status-line.ts';

interface Options {
  readonly resume?: boolean;
  readonly skipBad?: boolean;
}

export const train = new Command('train')
  .description('train a recipe; metrics, checkpoints and the model go to its run.output_dir')
  .argument('<recipe>', 'a YAML file')
  .argument('[key=value...]', 'what to change in it, such as run.seed=7')
  .option('--resume', 'go on from the newest checkpoint')
  .option('--skip-bad', 'leave out pictures that cannot be used, and say which')
  .action(async (file: string, changes: string[], options: Options) => {
    const recipe = await readRecipe(file, changes);
    const status = new StatusLine();
    const reading = { skipBad: options.skipBad ?? false, onMessage: (text: string) => status.note(text) };
    const finished = await trainRecipe(recipe, {
      ...reading,
      resume: options.resume ?? false,
      measure: heldOutMetric(recipe, { ...reading, signal: interruption }),
      signal: interruption,
      onProgress: (p) => status.show(progressLine(p)),
      onEncoded: (done, total) => status.show(`encoding images: ${done} of ${total}`),
    }).finally(() => status.end());
    const { output_dir: folder } = recipe.run;
    if (finished) note(`trained: the model is in ${folder}/model`);
    else {
      note(`saved; go on with: blip2 train ${[file, ...changes].join(' ')} --resume`);
      interruption.throwIfAborted();
    }
  });

/** `step 120/2600  loss 8.63  itc 3.49 …  55 images/s  40 min left`. */
function progressLine({ step, maxSteps, scalars, imagesPerSecond, eta }: Progress): string {
  const losses = Object.entries(scalars).map(([name, x]) => `${name} ${Number(x.toPrecision(3))}`);
  return [
    `step ${step + 1}/${maxSteps}`,
    ...losses,
    `${imagesPerSecond.toFixed(0)} images/s`,
    `${inWords(eta)} left`,
  ].join('  ');
}
