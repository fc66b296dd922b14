import type { Progress, StepResult } from './loop.ts';
import type { Optimiser } from './optimiser.ts';

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
  readonly data: { readonly stepsPerEpoch: number; close(): void };
  readonly optimiser: Optimiser;
  /** Fills the optimiser's gradients for a step. */
  gradients(step: number): Promise<StepResult>;
  /** Writes what was trained, with its frozen parts, as a model folder. */
  write(folder: string): Promise<void>;
}
