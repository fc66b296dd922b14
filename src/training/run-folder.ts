import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { DataError, UsageError, type Value } from '../core/index.ts';
import { Checkpoint, removeTemporaries, writeSafetensors, writeText } from '../hub/index.ts';
import type { Metrics } from '../report/index.ts';
import { EventFile } from './event-file.ts';
import type { Recipe } from './recipe.ts';
import { trainingReport } from './report.ts';

/** What a step told before anything was measured on held-out data. */
export interface StepTaken {
  readonly scalars: Readonly<Record<string, number>>;
  readonly imagesPerSecond: number;
}

/** A checkpoint: the updates made, all buffers by name, and the last step where its evaluation was interrupted. */
export interface SavedRun {
  readonly step: number;
  readonly state: Record<string, Value>;
  readonly unmeasured: StepTaken | undefined;
}

const logs = ['metrics.jsonl', 'timing.jsonl'] as const;

/**
 * The folder of a run: `recipe.yaml` as resolved, `metrics.jsonl`, `checkpoints/` (the last few) and, at the end,
 * `model/`. Everything is written under another name first and renamed when whole. The metrics are also there to look
 * at, as `report.html` and under `tensorboard/`. What two runs of a recipe do not share, its speed, is in `timing.jsonl`.
 */
export class RunFolder {
  readonly path: string;
  readonly #keep: number;
  #events: EventFile | undefined;

  constructor(path: string, { keep }: { keep: number }) {
    this.path = path;
    this.#keep = keep;
  }

  get model(): string {
    return join(this.path, 'model');
  }

  /** The model that is being measured. */
  get #measured(): string {
    return join(this.path, 'measured');
  }

  get #checkpoints(): string {
    return join(this.path, 'checkpoints');
  }

  /**
   * Makes the folder, without what a run that was killed left half-written. Throws UsageError where the folder holds a run
   * already and this is not its continuation.
   */
  async begin(recipe: Recipe, { resume }: { resume: boolean }): Promise<void> {
    // A run that was interrupted before its first step has a checkpoint and no metrics.
    const started = this.#lines('metrics.jsonl').length > 0 || this.#saved().length > 0;
    if (started && !resume) {
      throw new UsageError(
        `${this.path} holds a run already: add --resume to go on with it, or name another run.output_dir`,
      );
    }
    for (const folder of [this.path, this.#checkpoints, this.model]) await removeTemporaries(folder);
    this.#forgetMeasured();
    mkdirSync(this.#checkpoints, { recursive: true });
    await writeText(join(this.path, 'recipe.yaml'), stringify(recipe));
    if (!resume) for (const file of logs) writeFileSync(join(this.path, file), '');
  }

  log({ step, ...metrics }: Metrics, timing: { readonly images_per_second: number }): void {
    const append = (file: string, line: Metrics) => appendFileSync(join(this.path, file), `${JSON.stringify(line)}\n`);
    append('metrics.jsonl', { step, ...metrics });
    append('timing.jsonl', { step, ...timing });
    this.#events ??= new EventFile(join(this.path, 'tensorboard'), step);
    this.#events.add(step, { ...metrics, ...timing });
  }

  /** Measures a model as it would be written at the end, in a folder that is removed again. */
  async measured(
    write: (folder: string) => Promise<void>,
    measure: (folder: string) => Promise<number>,
  ): Promise<number> {
    try {
      await write(this.#measured);
      return await measure(this.#measured);
    } finally {
      this.#forgetMeasured();
    }
  }

  #forgetMeasured(): void {
    rmSync(this.#measured, { recursive: true, force: true });
  }

  /** Saves all that a resumed run needs, forgets the oldest checkpoints, and brings the report up to date. */
  async save(step: number, state: Record<string, Value>, unmeasured?: StepTaken): Promise<void> {
    await writeSafetensors(join(this.#checkpoints, name(step)), state, {
      step: `${step}`,
      ...(unmeasured && { unmeasured: JSON.stringify(unmeasured) }),
    });
    for (const old of this.#steps().slice(0, -this.#keep)) rmSync(join(this.#checkpoints, name(old)));
    await this.#report();
  }

  /** The newest checkpoint, if there is one; metrics of later steps are taken back, because they are computed again. */
  async latest(): Promise<SavedRun | undefined> {
    const step = this.#steps().at(-1);
    const saved = step === undefined ? undefined : await this.#open(step);
    // The last step before the checkpoint is not done where it is still to be measured.
    const done = saved?.unmeasured ? saved.step - 1 : (step ?? -1);
    for (const file of logs) await this.#forgetFrom(file, done);
    return saved;
  }

  async #open(step: number): Promise<SavedRun> {
    const checkpoint = await Checkpoint.open(join(this.#checkpoints, name(step)));
    const { step: found, unmeasured } = checkpoint.metadata;
    if (found !== `${step}`) {
      throw new DataError(`${checkpoint.path}: expected the checkpoint of step ${step}, found ${found}`);
    }
    return { step, state: await checkpoint.readAll(), unmeasured: unmeasured && JSON.parse(unmeasured) };
  }

  /** What was logged under a name, in the order of steps. */
  logged(name: string): number[] {
    return this.#lines('metrics.jsonl').flatMap((line) => JSON.parse(line)[name] ?? []);
  }

  /** Keeps the parameters that do best on held-out data, in place of those before. */
  async saveBest(step: number, parameters: Record<string, Value>): Promise<void> {
    await writeSafetensors(join(this.#checkpoints, 'best.safetensors'), parameters, { step: `${step}` });
  }

  /** Those parameters; none where nothing has been measured. */
  async best(): Promise<Record<string, Value>> {
    const path = join(this.#checkpoints, 'best.safetensors');
    return existsSync(path) ? (await Checkpoint.open(path)).readAll() : {};
  }

  /** The names of the checkpoints, and of the best parameters. */
  #saved(): string[] {
    if (!existsSync(this.#checkpoints)) return [];
    return readdirSync(this.#checkpoints).filter((file) => file.endsWith('.safetensors'));
  }

  #steps(): number[] {
    const steps = this.#saved().flatMap((file) => /^step-(\d+)\.safetensors$/.exec(file)?.[1] ?? []);
    return steps.map(Number).sort((a, b) => a - b);
  }

  async #report(): Promise<void> {
    const report = trainingReport({
      title: basename(resolve(this.path)),
      recipe: readFileSync(join(this.path, 'recipe.yaml'), 'utf8'),
      metrics: logs.flatMap((file) => this.#lines(file)).map((line) => JSON.parse(line)),
    });
    await writeText(join(this.path, 'report.html'), report);
  }

  async #forgetFrom(file: string, step: number): Promise<void> {
    const kept = this.#lines(file).filter((line) => JSON.parse(line).step < step);
    await writeText(join(this.path, file), kept.map((line) => `${line}\n`).join(''));
  }

  /** The whole lines of a file, if there is one: one that a kill cut in half is later than any checkpoint. */
  #lines(file: string): string[] {
    const path = join(this.path, file);
    if (!existsSync(path)) return [];
    return readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => line.endsWith('}'));
  }
}

const name = (step: number): string => `step-${String(step).padStart(8, '0')}.safetensors`;
