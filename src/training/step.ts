import { CheckpointError, DataError, elements, floats, toFloat32, type Value } from '../core/index.ts';
import { differentiate, type Tensor } from '../graph/index.ts';
import { compile, type Feeds, type Session, type SessionOptions, type Weights } from '../runtime/index.ts';
import { FrozenWeights } from './frozen-weights.ts';
import { Optimiser, type OptimiserOptions } from './optimiser.ts';

export interface TrainStepOptions extends OptimiserOptions {
  readonly session?: SessionOptions;
  /** Keep only the ends of layers for the backward pass: see `differentiate`. */
  readonly recompute?: boolean;
}

/** A graph to train: a loss to fall, other outputs to report, and what may move. */
export interface TrainGraph<O extends string> {
  readonly outputs: Readonly<Record<O | 'loss', Tensor>>;
  /** Every parameter of the graph, by name: what a Params declared. */
  readonly declared: ReadonlyMap<string, Tensor>;
  readonly trains: (name: string) => boolean;
}

/**
 * One training step: a graph that computes losses and gradients, and the optimiser that updates the parameters in the
 * buffers which the graph reads. Nothing is allocated that grows with steps.
 */
export class TrainStep<O extends string> {
  readonly optimiser: Optimiser;
  readonly #session: Session<string>;
  readonly #fetches: Record<string, Value | null>;
  readonly #outputs: readonly (O | 'loss')[];
  readonly #frozen: FrozenWeights;
  readonly #recompute: boolean;

  private constructor(
    session: Session<string>,
    optimiser: Optimiser,
    { outputs, frozen, recompute }: { outputs: readonly (O | 'loss')[]; frozen: FrozenWeights; recompute: boolean },
  ) {
    this.#recompute = recompute;
    this.optimiser = optimiser;
    this.#session = session;
    this.#outputs = outputs;
    this.#frozen = frozen;
    this.#fetches = {
      ...Object.fromEntries(outputs.map((name) => [name, null])),
      ...Object.fromEntries(Object.entries(optimiser.gradients).map(([name, g]) => [gradientName(name), g])),
    };
  }

  /**
   * Compiles the graph and its gradients. `initial` gives the starting values of what trains, `frozen` the weights of
   * the rest. Throws CheckpointError naming a parameter without a starting value.
   */
  static async create<O extends string>(
    graph: TrainGraph<O>,
    weights: { initial: ReadonlyMap<string, Value>; frozen?: Weights },
    { session: sessionOptions, recompute = false, ...options }: TrainStepOptions = {},
  ): Promise<TrainStep<O>> {
    const trained = [...graph.declared].filter(([name]) => graph.trains(name));
    const parameters = new Map(trained.map(([name, t]) => [name, startingValue(name, t, weights.initial)]));
    const frozen = frozenWeights(
      weights.frozen,
      new Map([...weights.initial].filter(([name]) => !parameters.has(name))),
    );
    const bind: Weights = (name) => (parameters.has(name) ? 'input' : frozen.bind(name));
    const session = await compileWithGradients(graph, [...parameters.keys()], {
      bind,
      recompute,
      options: sessionOptions,
    });
    const outputs = Object.keys(graph.outputs) as (O | 'loss')[];
    return new TrainStep<O>(session, new Optimiser(parameters, options), { outputs, frozen, recompute });
  }

  /** The same parameters, gradients and optimiser under another graph: for batches of another shape. */
  async sibling<P extends string>(graph: TrainGraph<P>, options: SessionOptions = {}): Promise<TrainStep<P>> {
    const { parameters } = this.optimiser;
    const bind: Weights = (name) => (name in parameters ? 'input' : this.#frozen.bind(name));
    const recompute = this.#recompute;
    const session = await compileWithGradients(graph, Object.keys(parameters), { bind, recompute, options });
    return new TrainStep<P>(session, this.optimiser, {
      outputs: Object.keys(graph.outputs) as (P | 'loss')[],
      frozen: this.#frozen,
      recompute,
    });
  }

  /** Losses and other outputs of a batch; the gradients are in the optimiser's buffers. */
  async gradients(feeds: Feeds): Promise<Record<O | 'loss', Value>> {
    const results = await this.#session.run(
      { ...this.#frozen.feeds, ...this.optimiser.parameters, ...feeds },
      this.#fetches,
    );
    return Object.fromEntries(this.#outputs.map((name) => [name, results[name]!])) as Record<O | 'loss', Value>;
  }

  /** {@link gradients}, then one update. Throws DataError on a loss that is not finite, before anything is updated. */
  async run(feeds: Feeds, lr: number): Promise<{ outputs: Record<O | 'loss', Value>; gradientNorm: number }> {
    const outputs = await this.gradients(feeds);
    const loss = toFloat32(outputs.loss)[0]!;
    if (!Number.isFinite(loss)) throw new DataError(`the loss is ${loss}`);
    return { outputs, gradientNorm: this.optimiser.step(lr) };
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}

/** The graph's outputs and its gradients with respect to `trained`, as one session. */
function compileWithGradients<O extends string>(
  { outputs, declared }: TrainGraph<O>,
  trained: readonly string[],
  { bind, recompute, options }: { bind: Weights; recompute: boolean; options: SessionOptions | undefined },
): Promise<Session<string>> {
  const wrt = trained.map((name) => declared.get(name)!);
  const gradients = differentiate(outputs.loss, wrt, { recompute });
  const all: Record<string, Tensor> = { ...outputs };
  trained.forEach((name, i) => {
    all[gradientName(name)] = gradients[i]!;
  });
  return compile(all, bind, options);
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
