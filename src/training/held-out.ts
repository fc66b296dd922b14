import { toFloat32 } from '../core/index.ts';
import type { Optimiser } from './optimiser.ts';
import type { RunFolder } from './run-folder.ts';

export interface HeldOutOptions {
  /** Steps from one evaluation to the next. */
  readonly every: number;
  /** How many evaluations in a row may be no better than the best before training stops. Default: any number. */
  readonly patience: number | undefined;
  /** Which figure counts: `loss`, the lower the better, or another, the higher the better. */
  readonly metric: string;
  /** Figures by name, of the model as it is. */
  evaluate(): Promise<Readonly<Record<string, number>>>;
}

/**
 * Figures on held-out data along a run, and early stopping on one of them. All it knows is in the run's folder, so that a
 * resumed run stops where an uninterrupted one does.
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
    const costs = this.#folder.logged(`eval_${this.#options.metric}`).map((figure) => this.#cost(figure));
    return patience !== undefined && costs.length - 1 - costs.indexOf(Math.min(...costs)) >= patience;
  }

  /** Evaluates after a step, if it is time to; keeps the parameters if training may go back to them. */
  async after(step: number): Promise<Readonly<Record<string, number>> | undefined> {
    const { every, patience, metric } = this.#options;
    if ((step + 1) % every !== 0) return undefined;
    const figures = await this.#options.evaluate();
    const cost = this.#cost(figures[metric]!);
    const before = this.#folder.logged(`eval_${metric}`);
    if (patience !== undefined && before.every((figure) => cost < this.#cost(figure))) {
      await this.#folder.saveBest(step + 1, this.#optimiser.averages);
    }
    return Object.fromEntries(Object.entries(figures).map(([name, figure]) => [`eval_${name}`, figure]));
  }

  /** The lower, the better. */
  #cost(figure: number): number {
    return this.#options.metric === 'loss' ? figure : -figure;
  }

  /** Goes back to the parameters of the best figure, where training may stop early. */
  async restoreBest(): Promise<void> {
    if (this.#options.patience === undefined) return;
    const best = await this.#folder.best();
    for (const [name, { data }] of Object.entries(this.#optimiser.averages)) {
      if (best[name]) data.set(toFloat32(best[name]));
    }
  }
}
