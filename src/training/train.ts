import { schedules } from '../optim/index.ts';
import type { ImageTextData } from './image-text-data.ts';
import { type Progress, type StepResult, trainLoop } from './loop.ts';
import type { Optimiser } from './optimiser.ts';
import type { Recipe } from './recipe.ts';
import { RunFolder } from './run-folder.ts';
import { stageOne } from './stage-one.ts';
import { stageTwo } from './stage-two.ts';

export interface TrainOptions {
  /** Go on from the newest checkpoint of the run's folder. */
  readonly resume?: boolean;
  /** Saves and stops at the next whole step. */
  readonly signal?: AbortSignal;
  /** Leave out pictures that cannot be used, and report them, instead of stopping. */
  readonly skipBad?: boolean;
  readonly onProgress?: (p: Progress) => void;
  readonly onMessage?: (text: string) => void;
}

/** What a task makes of a recipe: the steps and the model at the end. */
export interface Task {
  readonly data: ImageTextData;
  readonly optimiser: Optimiser;
  /** Fills the optimiser's gradients for a step. */
  gradients(step: number): Promise<StepResult>;
  /** Writes what was trained, with its frozen parts, as a model folder. */
  write(folder: string): Promise<void>;
}

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
