import { schedules } from '../optim/index.ts';
import { HeldOut } from './held-out.ts';
import { type TrainLoop, trainLoop } from './loop.ts';
import type { Recipe } from './recipe.ts';
import { RunFolder } from './run-folder.ts';
import type { TrainOptions } from './task.ts';
import { openTask } from './tasks/index.ts';

/**
 * Trains a recipe and fills the run's folder, its model as far as it came. Returns false where it was interrupted; `resume`
 * goes on exactly there.
 * Throws UsageError on a folder that holds another run, DataError on data that cannot be used.
 */
export async function train(recipe: Recipe, options: TrainOptions = {}): Promise<boolean> {
  const { run } = recipe;
  const folder = new RunFolder(run.output_dir, { keep: run.keep_checkpoints });
  await folder.begin(recipe, { resume: options.resume ?? false });
  const task = await openTask(recipe, options);
  const { stepsPerEpoch } = task;
  const loop: TrainLoop = {
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
    heldOut:
      task.evaluate &&
      new HeldOut(folder, task.optimiser, {
        every: run.eval_every,
        patience: run.patience,
        evaluate: task.evaluate,
      }),
    signal: options.signal,
    ...(options.onProgress ? { onProgress: options.onProgress } : {}),
  };
  try {
    const finished = await trainLoop(loop);
    await task.write(folder.model);
    return finished;
  } finally {
    await task.close();
  }
}
