import { toFloat32, type Value } from '../core/index.ts';
import { DropoutPool } from '../nn/index.ts';
import type { Feeds, Weights } from '../runtime/index.ts';
import type { Optimiser } from './optimiser.ts';
import type { Recipe } from './recipe.ts';
import { type Results, type TrainGraph, TrainStep } from './step.ts';

/** Texts are padded to one of few lengths, because each length is a graph of its own. */
const lengthStep = 6;
export const padded = (length: number, longest: number): number =>
  Math.min(longest, Math.ceil(length / lengthStep) * lengthStep);

/** Writes the graph for texts of one length. */
export type GraphOf<O extends string, I extends string = never> = (
  tokens: number,
  dropout: DropoutPool,
) => TrainGraph<O, I>;

/** The training graphs for every text length in use; all share the parameters, the gradients and the moments. */
export class StepsByLength<O extends string, I extends string = never> {
  readonly #run: Recipe['run'];
  readonly #graphOf: GraphOf<O, I>;
  readonly #steps = new Map<number, { train: TrainStep<O, I>; dropout: DropoutPool }>();
  readonly #first: TrainStep<O, I>;

  private constructor(run: Recipe['run'], graphOf: GraphOf<O, I>, first: TrainStep<O, I>) {
    this.#run = run;
    this.#graphOf = graphOf;
    this.#first = first;
  }

  /** `initial` gives what trains its starting values, once it is known what that is. */
  static async create<O extends string, I extends string = never>(
    run: Recipe['run'],
    graphOf: GraphOf<O, I>,
    weights: {
      initial: (graph: TrainGraph<O, I>) => ReadonlyMap<string, Value>;
      frozen?: Weights;
      /** A factor on a parameter's rate, beside that of the recipe. */
      lrFactor: (parameter: string) => number;
    },
  ): Promise<StepsByLength<O, I>> {
    const dropout = new DropoutPool(run.dropout);
    const graph = graphOf(lengthStep, dropout);
    const train = await TrainStep.create(
      graph,
      { initial: weights.initial(graph), ...(weights.frozen ? { frozen: weights.frozen } : {}) },
      {
        session: sessionOptions(run),
        weightDecay: run.weight_decay,
        beta2: run.beta2,
        clipNorm: run.clip_norm,
        ema: run.ema,
        startShare: run.start_share,
        lrScale: (parameter) => lrScale(run.lr_scales, parameter) * weights.lrFactor(parameter),
        recompute: run.use_grad_checkpoint,
      },
    );
    const steps = new StepsByLength(run, graphOf, train);
    steps.#steps.set(lengthStep, { train, dropout });
    return steps;
  }

  get optimiser(): Optimiser {
    return this.#first.optimiser;
  }

  /** The parameters that these graphs write gradients of. */
  get moves(): readonly string[] {
    return this.#first.moves;
  }

  /** The scalars of a step on texts of `tokens` tokens; the gradients are in the optimiser's buffers. */
  async gradients(step: number, tokens: number, feeds: Feeds): Promise<Record<O | 'loss', number>> {
    const outputs = await this.run(step, tokens, feeds);
    const scalars = Object.entries<Value>(outputs).map(([name, v]) => [name, toFloat32(v)[0]!]);
    return Object.fromEntries(scalars) as Record<O | 'loss', number>;
  }

  /** The same with all outputs as they are, gradients of inputs among them. */
  async run(step: number, tokens: number, feeds: Feeds): Promise<Results<O, I>> {
    const { train } = await this.#at(tokens);
    return train.gradients({ ...feeds, ...(await this.dropoutFeeds(step, tokens)) });
  }

  /** Another graph on the same parameters, gradients and optimiser. */
  sibling<P extends string, J extends string = never>(graph: TrainGraph<P, J>): Promise<TrainStep<P, J>> {
    return this.#first.sibling(graph, sessionOptions(this.#run));
  }

  /** The noise of a step's dropout. */
  async dropoutFeeds(step: number, tokens: number): Promise<Feeds> {
    return (await this.#at(tokens)).dropout.feeds(this.#run.seed, step);
  }

  async #at(tokens: number): Promise<{ train: TrainStep<O, I>; dropout: DropoutPool }> {
    const known = this.#steps.get(tokens);
    if (known) return known;
    const dropout = new DropoutPool(this.#run.dropout);
    const train = await this.#first.sibling(this.#graphOf(tokens, dropout), sessionOptions(this.#run));
    const made = { train, dropout };
    this.#steps.set(tokens, made);
    return made;
  }
}

/**
 * Several graphs take turns on the same cores: a thread that spins after its turn would take one from the next. Frozen
 * weights are there once for all of them.
 */
export const sessionOptions = ({ threads, memory_arena: arena }: Pick<Recipe['run'], 'threads' | 'memory_arena'>) => ({
  spinning: false,
  mapped: true,
  arena,
  ...(threads === undefined ? {} : { threads }),
});

const lrScale = (scales: Recipe['run']['lr_scales'], parameter: string): number =>
  Object.entries(scales).find(([pattern]) => new RegExp(pattern).test(parameter))?.[1] ?? 1;
