import { schedules } from '../optim/index.ts';
import { trainLoop } from './loop.ts';
import type { Recipe } from './recipe.ts';
import { RunFolder } from './run-folder.ts';
import { stageOne } from './stage-one.ts';
import { stageTwo } from './stage-two.ts';
import type { TrainOptions } from './task.ts';

/**
 * Trains a recipe and fills the run's folder. Returns false where it was interrupted; `resume` goes on exactly there.
 * Throws UsageError on a folder that holds another run, DataError on data that cannot be used.
 */
export async function train(recipe: Recipe, options: TrainOptions = {}): Promise<boolean> {
  const { run } = recipe;
  const folder = new RunFolder(run.output_dir, { keep: run.keep_checkpoints });
  await folder.begin(recipe, { resume: options.resume ?? false });
  const task = recipe.task === 'stage1' ? await stageOne(recipe, options) : await stageTwo(recipe, options);
  const { stepsPerEpoch } = task.data;
  const finished = await trainLoop({
    folder,
    optimiser: task.optimiser,
    schedule: schedules[run.lr_sched]({
      initLr: run.init_lr,
      minLr: run.min_lr,
      warmupLr: run.warmup_lr,
      warmupSteps: run.warmup_steps,
      stepsPerEpoch,
      maxEpoch: run.max_steps / stepsPerEpoch,
    }),
    maxSteps: run.max_steps,
    logEvery: run.log_every,
    saveEvery: run.save_every,
    gradients: (step) => task.gradients(step),
    signal: options.signal,
    ...(options.onProgress ? { onProgress: options.onProgress } : {}),
  });
  if (finished) await task.write(folder.model);
  task.data.close();
  return finished;
}
