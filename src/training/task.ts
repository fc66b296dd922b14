import type { z } from 'zod';
import type { Progress, StepResult } from './loop.ts';
import type { Optimiser } from './optimiser.ts';
import type { Recipe } from './recipe.ts';

export interface TrainOptions {
  /** Go on from the newest checkpoint of the run's folder. */
  readonly resume?: boolean;
  /** Saves and stops at the next whole step. */
  readonly signal?: AbortSignal;
  /** Leave out pictures that cannot be used, and report them, instead of stopping. */
  readonly skipBad?: boolean;
  /** Measures a model folder by the recipe's `run.eval_metric`: the higher, the better. */
  readonly measure?: ((model: string) => Promise<number>) | undefined;
  readonly onProgress?: (p: Progress) => void;
  /** How many pictures a frozen encoder has read, of those that no run has read before. */
  readonly onEncoded?: (done: number, total: number) => void;
  readonly onMessage?: (text: string) => void;
}

/** What a task makes of a recipe: the steps and the model at the end. */
export interface Task {
  readonly stepsPerEpoch: number;
  readonly optimiser: Optimiser;
  /** Fills the optimiser's gradients for a step. */
  gradients(step: number): Promise<StepResult>;
  /** Losses on the recipe's held-out data, by name, where it has any. Throws the signal's reason between batches. */
  evaluate?(signal?: AbortSignal): Promise<Readonly<Record<string, number>>>;
  /** Ends the threads that read pictures. */
  close(): Promise<void>;
  /** Writes what was trained, with its frozen parts, as a model folder. */
  write(folder: string): Promise<void>;
}

/** A kind of training: what its recipes say, and what opens them. One file in tasks/ and one line there add another. */
export interface TaskType<Schema extends z.ZodType<Recipe> = z.ZodType<Recipe>> {
  readonly recipe: Schema;
  /** Reads the data and the models, and compiles. Throws UsageError, ConfigError, CheckpointError and DataError. */
  open(recipe: z.output<Schema>, options: TrainOptions): Promise<Task>;
}

/** A task from its recipe's schema and what opens it. */
export const defineTask = <Schema extends z.ZodType<Recipe>>(
  recipe: Schema,
  open: (recipe: z.output<Schema>, options: TrainOptions) => Promise<Task>,
): TaskType<Schema> => ({ recipe, open });
