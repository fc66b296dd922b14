import { CheckpointError, DataError, elements, floats, toFloat32, type Value } from '../core/index.ts';
import { dependencies, differentiate, type Tensor } from '../graph/index.ts';
import { compile, type Feeds, type Session, type SessionOptions, type Weights } from '../runtime/index.ts';
import { FrozenWeights } from './frozen-weights.ts';
import { Optimiser, type OptimiserOptions } from './optimiser.ts';

export interface TrainStepOptions extends OptimiserOptions {
  readonly session?: SessionOptions;
  /** Keep only the ends of layers for the backward pass: see `differentiate`. */
  readonly recompute?: boolean;
}

/** A graph to train: a loss to fall, other outputs to report, and what may move. */
export interface TrainGraph<O extends string, I extends string = never> {
  readonly outputs: Readonly<Record<O | 'loss', Tensor>>;
  /** Every parameter by name, as a Params declared it; of the first graph of a step also those that only siblings read. */
  readonly declared: ReadonlyMap<string, Tensor>;
  readonly trains: (name: string) => boolean;
  /** Inputs whose gradients are outputs too, by the gradients' names. */
  readonly inputs?: Readonly<Record<I, Tensor>>;
}

/** What a step's graph tells: its outputs, and the gradients of inputs that it was asked for. */
export type Results<O extends string, I extends string> = Record<O | 'loss', Value> & Partial<Record<I, Value>>;

/**
 * One training step: a graph that computes losses and gradients, and the optimiser that updates the parameters in the
 * buffers which the graph reads. Nothing is allocated that grows with steps.
 */
export class TrainStep<O extends string, I extends string = never> {
  readonly optimiser: Optimiser;
  /** The parameters that this graph's loss depends on: those whose gradients it writes. */
  readonly moves: readonly string[];
  readonly #session: Session<string>;
  readonly #fetches: Record<string, Value | null>;
  readonly #outputs: readonly (O | 'loss' | I)[];
  readonly #frozen: FrozenWeights;
  readonly #recompute: boolean;

  private constructor(
    { session, outputs, moves }: Compiled<O, I>,
    optimiser: Optimiser,
    { frozen, recompute }: { frozen: FrozenWeights; recompute: boolean },
  ) {
    this.#recompute = recompute;
    this.optimiser = optimiser;
    this.moves = moves;
    this.#session = session;
    this.#outputs = outputs;
    this.#frozen = frozen;
    const gradients = optimiser.gradientsOf(moves);
    this.#fetches = {
      ...Object.fromEntries(outputs.map((name) => [name, null])),
      ...Object.fromEntries(moves.map((name) => [gradientName(name), gradients[name]!])),
    };
  }

  /**
   * Compiles the graph and its gradients. `initial` gives the starting values of what trains, `frozen` the weights of
   * the rest. Throws CheckpointError naming a parameter without a starting value.
   */
  static async create<O extends string, I extends string = never>(
    graph: TrainGraph<O, I>,
    weights: { initial: ReadonlyMap<string, Value>; frozen?: Weights },
    { session: sessionOptions, recompute = false, ...options }: TrainStepOptions = {},
  ): Promise<TrainStep<O, I>> {
    const trained = [...graph.declared].filter(([name]) => graph.trains(name));
    const parameters = new Map(trained.map(([name, t]) => [name, startingValue(name, t, weights.initial)]));
    const frozen = frozenWeights(
      weights.frozen,
      new Map([...weights.initial].filter(([name]) => !parameters.has(name))),
    );
    const bind: Weights = (name) => (parameters.has(name) ? 'input' : frozen.bind(name));
    const compiled = await compileWithGradients(graph, [...parameters.keys()], {
      bind,
      recompute,
      options: sessionOptions,
    });
    return new TrainStep<O, I>(compiled, new Optimiser(parameters, options), { frozen, recompute });
  }

  /** The same parameters, gradients and optimiser under another graph: of another shape, or of another part of a step. */
  async sibling<P extends string, J extends string = never>(
    graph: TrainGraph<P, J>,
    options: SessionOptions = {},
  ): Promise<TrainStep<P, J>> {
    const { parameters } = this.optimiser;
    const bind: Weights = (name) => (name in parameters ? 'input' : this.#frozen.bind(name));
    const recompute = this.#recompute;
    const compiled = await compileWithGradients(graph, Object.keys(parameters), { bind, recompute, options });
    return new TrainStep<P, J>(compiled, this.optimiser, { frozen: this.#frozen, recompute });
  }

  /** Losses, other outputs and inputs' gradients of a batch; those of parameters are in the optimiser's buffers. */
  async gradients(feeds: Feeds): Promise<Results<O, I>> {
    const results = await this.#session.run(
      { ...this.#frozen.feeds, ...this.optimiser.parameters, ...feeds },
      this.#fetches,
    );
    return Object.fromEntries(this.#outputs.map((name) => [name, results[name]!])) as Results<O, I>;
  }

  /** {@link gradients}, then one update. Throws DataError on a loss or gradient that is not finite, before anything is updated. */
  async run(feeds: Feeds, lr: number): Promise<{ outputs: Results<O, I>; gradientNorm: number }> {
    const outputs = await this.gradients(feeds);
    const loss = toFloat32(outputs.loss)[0]!;
    if (!Number.isFinite(loss)) throw new DataError(`the loss is ${loss}`);
    return { outputs, gradientNorm: this.optimiser.step(lr) };
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}

interface Compiled<O extends string, I extends string> {
  readonly session: Session<string>;
  readonly outputs: readonly (O | 'loss' | I)[];
  readonly moves: readonly string[];
}

/** The graph's outputs and its gradients with respect to its inputs and what it reads of `trained`, as one session. */
async function compileWithGradients<O extends string, I extends string>(
  { outputs, declared, inputs }: TrainGraph<O, I>,
  trained: readonly string[],
  { bind, recompute, options }: { bind: Weights; recompute: boolean; options: SessionOptions | undefined },
): Promise<Compiled<O, I>> {
  const read = new Set(dependencies([outputs.loss], declared));
  const moves = trained.filter((name) => read.has(name));
  const told = Object.entries<Tensor>(inputs ?? {});
  const wrt = [...moves.map((name) => declared.get(name)!), ...told.map(([, x]) => x)];
  const names = [...moves.map(gradientName), ...told.map(([name]) => name)];
  const gradients = differentiate(outputs.loss, wrt, { recompute });
  const all: Record<string, Tensor> = {
    ...outputs,
    ...Object.fromEntries(names.map((name, i) => [name, gradients[i]!])),
  };
  const session = await compile(all, bind, options);
  const own = [...Object.keys(outputs), ...told.map(([name]) => name)] as (O | 'loss' | I)[];
  return { session, outputs: own, moves };
}

/** Apart from `create`, so that what a step keeps for its siblings does not hold the starting values of what trains. */
const frozenWeights = (given: Weights | undefined, rest: ReadonlyMap<string, Value>): FrozenWeights =>
  new FrozenWeights((name) => given?.(name) ?? rest.get(name));

const gradientName = (parameter: string): string => `gradient of ${parameter}`;

function startingValue(name: string, t: Tensor, initial: ReadonlyMap<string, Value>): Value<'float32'> {
  const found = initial.get(name);
  if (!found) throw new CheckpointError(`the parameter ${name} has no starting value`);
  const shape = t.shape.map(Number);
  if (elements(found.shape) !== elements(shape)) {
    throw new CheckpointError(`${name} must be [${shape.join(', ')}], got [${found.shape.join(', ')}]`);
  }
  return floats(shape, toFloat32(found));
}
