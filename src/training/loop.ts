import { DataError, toFloat32 } from '../core/index.ts';
import type { Schedule } from '../optim/index.ts';
import type { HeldOut } from './held-out.ts';
import type { Optimiser } from './optimiser.ts';
import type { RunFolder, StepTaken } from './run-folder.ts';

/** Losses and gradients of one step; scalars by name. */
export interface StepResult {
  readonly scalars: Readonly<Record<string, number>>;
  readonly images: number;
  /** What to name if the loss or its gradient is not a number. */
  readonly batch: string;
}

export interface TrainLoop {
  readonly folder: RunFolder;
  /** Go on from the folder's newest checkpoint, if there is one. */
  readonly resume: boolean;
  readonly optimiser: Optimiser;
  readonly schedule: Schedule;
  readonly maxSteps: number;
  readonly logEvery: number;
  readonly saveEvery: number;
  /** Fills the optimiser's gradients for this step. */
  gradients(step: number): Promise<StepResult>;
  readonly heldOut?: HeldOut | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (p: Progress) => void;
}

export interface Progress {
  readonly step: number;
  readonly maxSteps: number;
  readonly scalars: Readonly<Record<string, number>>;
  readonly imagesPerSecond: number;
  /** Seconds. */
  readonly eta: number;
}

/**
 * Steps until the end, or until a figure on held-out data gets no better. Saves every so often, at the end, and when the
 * signal aborts; then it returns false. An evaluation that the signal ended is made when the run goes on. Throws DataError
 * naming the batch where the loss or its gradient is not finite: what was saved before is as it was.
 */
export async function trainLoop(loop: TrainLoop): Promise<boolean> {
  const { folder, optimiser, maxSteps, heldOut, signal } = loop;
  const meter = new Meter();
  let { step, taken } = await restore(loop);
  let stopped = heldOut?.exhausted ?? false;
  for (; step < maxSteps && !stopped; step++) {
    if (signal?.aborted) {
      await folder.save(optimiser.steps, optimiser.state, taken);
      return false;
    }
    taken ??= await takeStep(loop, step, meter);
    const { figures, interrupted } = await measureAfter(loop, step);
    if (interrupted) {
      await folder.save(optimiser.steps, optimiser.state, taken);
      return false;
    }
    if (figures || step % loop.logEvery === 0 || step === maxSteps - 1) {
      const { imagesPerSecond } = taken;
      const scalars = { ...taken.scalars, ...figures };
      folder.log({ step, ...scalars }, { images_per_second: imagesPerSecond });
      loop.onProgress?.({ step, maxSteps, scalars, imagesPerSecond, eta: meter.eta(maxSteps - step - 1) });
    }
    taken = undefined;
    if (figures) stopped = heldOut?.exhausted ?? false;
    if ((step + 1) % loop.saveEvery === 0) await folder.save(step + 1, optimiser.state);
    // session.run() blocks the thread: without a turn of the event loop, Ctrl-C would never be heard.
    await new Promise(setImmediate);
  }
  if (step % loop.saveEvery !== 0) await folder.save(step, optimiser.state);
  await heldOut?.restoreBest();
  return true;
}

/** Computes a step and updates the parameters. */
async function takeStep(loop: TrainLoop, step: number, meter: Meter): Promise<StepTaken> {
  const result = await loop.gradients(step);
  const lr = loop.schedule(step);
  const gradientNorm = update(loop.optimiser, lr, { step, ...result });
  return {
    scalars: { ...result.scalars, lr, grad_norm: gradientNorm },
    imagesPerSecond: meter.tick(result.images),
  };
}

/** The figures on held-out data after a step, if it is time for them. */
async function measureAfter(
  { heldOut, signal }: TrainLoop,
  step: number,
): Promise<{ figures?: Readonly<Record<string, number>> | undefined; interrupted: boolean }> {
  try {
    return { figures: await heldOut?.after(step), interrupted: false };
  } catch (error) {
    // Whatever the signal made it throw; an error of another cause comes again when the run goes on.
    if (signal?.aborted) return { interrupted: true };
    throw error;
  }
}

/** One update; returns the norm of the gradients. Throws DataError naming the batch, before anything is changed. */
function update(
  optimiser: Optimiser,
  lr: number,
  { step, scalars, batch }: Pick<StepResult, 'scalars' | 'batch'> & { step: number },
): number {
  try {
    if (!Number.isFinite(scalars.loss)) throw new DataError(`the loss is ${scalars.loss}`);
    return optimiser.step(lr);
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new DataError(`step ${step}: ${cause.message}; the batch was ${batch}`, { cause });
  }
}

/**
 * Where a run goes on, reads the newest checkpoint into the optimiser's buffers. Returns the step to begin with; it has been
 * taken where only its evaluation is missing.
 */
async function restore({
  folder,
  resume,
  optimiser,
}: TrainLoop): Promise<{ step: number; taken: StepTaken | undefined }> {
  const checkpoint = resume ? await folder.latest() : undefined;
  if (!checkpoint) return { step: 0, taken: undefined };
  for (const [name, buffer] of Object.entries(optimiser.state)) {
    const saved = checkpoint.state[name];
    if (!saved || saved.data.length !== buffer.data.length) {
      throw new DataError(
        `${folder.path}: the checkpoint of step ${checkpoint.step} does not fit this recipe: ${name}`,
      );
    }
    toFloat32(buffer).set(toFloat32(saved));
  }
  optimiser.steps = checkpoint.step;
  const { unmeasured: taken } = checkpoint;
  return { step: taken ? checkpoint.step - 1 : checkpoint.step, taken };
}

/** Images and steps a second over the last steps. */
class Meter {
  #seconds = 0;
  #last = performance.now();
  #perStep: number | undefined;

  /** Images a second, smoothed. */
  tick(images: number): number {
    const now = performance.now();
    this.#seconds = (now - this.#last) / 1000;
    this.#last = now;
    this.#perStep = this.#perStep === undefined ? this.#seconds : 0.95 * this.#perStep + 0.05 * this.#seconds;
    return images / this.#perStep;
  }

  eta(steps: number): number {
    return steps * (this.#perStep ?? 0);
  }
}
