import { UsageError } from '../core/index.ts';
import { schedules } from '../optim/index.ts';
import { HeldOut } from './held-out.ts';
import { type TrainLoop, trainLoop } from './loop.ts';
import type { Recipe } from './recipe.ts';
import { RunFolder } from './run-folder.ts';
import type { Task, TrainOptions } from './task.ts';
import { openTask } from './tasks/index.ts';

/**
 * Trains a recipe and fills the run's folder, its model as far as it came. Returns false where it was interrupted; `resume`
 * goes on exactly there.
 * Throws UsageError on a folder that holds another run, DataError on data that cannot be used.
 */
export async function train(recipe: Recipe, options: TrainOptions = {}): Promise<boolean> {
  const { run } = recipe;
  if (run.eval_metric !== 'loss' && !options.measure) {
    throw new UsageError(`run.eval_metric: expected loss, because nothing was given that measures ${run.eval_metric}`);
  }
  if (run.start_share > 0 && run.patience !== undefined) {
    // The best model so far has its share of the start already, and training would go back to it.
    throw new UsageError('run.start_share: expected 0, because of run.patience');
  }
  const folder = new RunFolder(run.output_dir, { keep: run.keep_checkpoints });
  const { resume = false } = options;
  await folder.begin(recipe, { resume });
  const task = await openTask(recipe, options);
  const { stepsPerEpoch } = task;
  const loop: TrainLoop = {
    folder,
    resume,
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
    heldOut: heldOutOf(task, { run, folder, ...options }),
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

/** What a task measures along its run, where it has held-out data: its losses, and perhaps a metric of its model. */
function heldOutOf(
  { evaluate, write, optimiser }: Task,
  {
    run,
    folder,
    measure,
    signal,
  }: { run: Recipe['run']; folder: RunFolder } & Pick<TrainOptions, 'measure' | 'signal'>,
): HeldOut | undefined {
  if (!evaluate) return undefined;
  const { eval_every: every, eval_metric: metric, patience } = run;
  return new HeldOut(folder, optimiser, {
    every,
    patience,
    metric,
    async evaluate() {
      const losses = await evaluate(signal);
      if (metric === 'loss' || !measure) return losses;
      return { ...losses, [metric]: await folder.measured(write, measure) };
    },
  });
}
