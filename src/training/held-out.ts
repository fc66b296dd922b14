import { toFloat32 } from '../core/index.ts';
import type { Optimiser } from './optimiser.ts';
import type { RunFolder } from './run-folder.ts';

export interface HeldOutOptions {
  /** Steps from one evaluation to the next. */
  readonly every: number;
  /** How many evaluations in a row may be no better than the best before training stops. Default: any number. */
  readonly patience: number | undefined;
  /** Held-out losses by name, of the parameters as they are; `loss` is what counts. */
  evaluate(): Promise<Readonly<Record<string, number>>>;
}

/**
 * Held-out losses along a run, and early stopping on them. All it knows is in the run's folder, so that a resumed run
 * stops where an uninterrupted one does.
 */
export class HeldOut {
  readonly #folder: RunFolder;
  readonly #optimiser: Optimiser;
  readonly #options: HeldOutOptions;

  constructor(folder: RunFolder, optimiser: Optimiser, options: HeldOutOptions) {
    this.#folder = folder;
    this.#optimiser = optimiser;
    this.#options = options;
  }

  /** Whether patience has run out. */
  get exhausted(): boolean {
    const { patience } = this.#options;
    const losses = this.#folder.logged('eval_loss');
    return patience !== undefined && losses.length - 1 - losses.indexOf(Math.min(...losses)) >= patience;
  }

  /** Evaluates after a step, if it is time to; keeps the parameters if training may go back to them. */
  async after(step: number): Promise<Readonly<Record<string, number>> | undefined> {
    const { every, patience } = this.#options;
    if ((step + 1) % every !== 0) return undefined;
    const losses = Object.entries(await this.#options.evaluate()).map(([name, x]) => [`eval_${name}`, x] as const);
    const figures: Record<string, number> = Object.fromEntries(losses);
    const before = this.#folder.logged('eval_loss');
    if (patience !== undefined && before.every((loss) => figures.eval_loss! < loss)) {
      await this.#folder.saveBest(step + 1, this.#optimiser.parameters);
    }
    return figures;
  }

  /** Goes back to the parameters of the lowest loss, where training may stop early. */
  async restoreBest(): Promise<void> {
    if (this.#options.patience === undefined) return;
    const best = await this.#folder.best();
    for (const [name, { data }] of Object.entries(this.#optimiser.parameters)) {
      if (best[name]) data.set(toFloat32(best[name]));
    }
  }
}
