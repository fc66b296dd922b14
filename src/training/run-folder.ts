import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { DataError, UsageError, type Value } from '../core/index.ts';
import { Checkpoint, writeSafetensors, writeText } from '../hub/index.ts';
import type { Recipe } from './recipe.ts';

/** One line of metrics.jsonl. */
export interface Metrics {
  readonly step: number;
  readonly [name: string]: number;
}

/**
 * The folder of a run: `recipe.yaml` as resolved, `metrics.jsonl`, `checkpoints/` (the last few) and, at the end,
 * `model/`. Everything is written under another name first and renamed when whole.
 */
export class RunFolder {
  readonly path: string;
  readonly #keep: number;

  constructor(path: string, { keep }: { keep: number }) {
    this.path = path;
    this.#keep = keep;
  }

  get model(): string {
    return join(this.path, 'model');
  }

  get #checkpoints(): string {
    return join(this.path, 'checkpoints');
  }

  /** Throws UsageError where the folder holds a run already and this is not its continuation. */
  async begin(recipe: Recipe, { resume }: { resume: boolean }): Promise<void> {
    const started = existsSync(join(this.path, 'metrics.jsonl'));
    if (started && !resume) {
      throw new UsageError(
        `${this.path} holds a run already: add --resume to go on with it, or name another run.output_dir`,
      );
    }
    mkdirSync(this.#checkpoints, { recursive: true });
    await writeText(join(this.path, 'recipe.yaml'), stringify(recipe));
    if (!started) writeFileSync(join(this.path, 'metrics.jsonl'), '');
  }

  log(metrics: Metrics): void {
    appendFileSync(join(this.path, 'metrics.jsonl'), `${JSON.stringify(metrics)}\n`);
  }

  /** Saves all that a resumed run needs, and forgets the oldest checkpoints. */
  async save(step: number, state: Record<string, Value>): Promise<void> {
    await writeSafetensors(join(this.#checkpoints, name(step)), state, { step: `${step}` });
    for (const old of this.#steps().slice(0, -this.#keep)) rmSync(join(this.#checkpoints, name(old)));
  }

  /** The newest checkpoint, if there is one; metrics of later steps are taken back, because they are computed again. */
  async latest(): Promise<{ step: number; state: Record<string, Value> } | undefined> {
    const step = this.#steps().at(-1);
    await this.#forgetMetricsAfter(step ?? -1);
    if (step === undefined) return undefined;
    const checkpoint = await Checkpoint.open(join(this.#checkpoints, name(step)));
    if (checkpoint.metadata.step !== `${step}`) {
      throw new DataError(
        `${checkpoint.path}: expected the checkpoint of step ${step}, found ${checkpoint.metadata.step}`,
      );
    }
    return { step, state: await checkpoint.readAll() };
  }

  #steps(): number[] {
    if (!existsSync(this.#checkpoints)) return [];
    const steps = readdirSync(this.#checkpoints).flatMap((file) => /^step-(\d+)\.safetensors$/.exec(file)?.[1] ?? []);
    return steps.map(Number).sort((a, b) => a - b);
  }

  async #forgetMetricsAfter(step: number): Promise<void> {
    const file = join(this.path, 'metrics.jsonl');
    if (!existsSync(file)) return;
    // A line that a kill cut in half is not JSON; it belongs to a later step than any checkpoint.
    const kept = readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line.endsWith('}') && JSON.parse(line).step < step);
    await writeText(file, kept.map((line) => `${line}\n`).join(''));
  }
}

const name = (step: number): string => `step-${String(step).padStart(8, '0')}.safetensors`;
