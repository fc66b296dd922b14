import { toFloat32, UsageError, type Value } from '../core/index.ts';
import type { ImageRecord } from '../data/index.ts';
import type { Tensor } from '../graph/index.ts';
import { type Dropout, Params } from '../nn/index.ts';
import { compile, type Feeds, type Session, type SessionOptions, type Weights } from '../runtime/index.ts';
import { FrozenWeights } from './frozen-weights.ts';
import { startFrom } from './initial-values.ts';
import { layerDecay } from './layer-decay.ts';
import type { Optimiser } from './optimiser.ts';
import type { ReadEncoder } from './pretrained.ts';
import type { Recipe } from './recipe.ts';
import type { Drawn } from './step-images.ts';
import { StepsByLength, sessionOptions } from './steps-by-length.ts';
import type { Task, TrainOptions } from './task.ts';
import { type Batch, type DataSource, TrainingData } from './training-data.ts';

/** What a step's graph is made of. */
export interface GraphParts {
  /** [B, P, Dv] */
  readonly imageEmbeds: Tensor;
  /** The length of all texts. */
  readonly tokens: number;
  readonly dropout: Dropout | undefined;
}

/** A step of training, or a batch of held-out data, which is the same whenever it is measured. */
export type BatchUse = { readonly step: number } | { readonly heldOut: number };

/** What the steps of one kind of training are, whatever the pictures come from. */
export interface StepKind<Item extends ImageRecord, O extends string> {
  /** Losses, all scalars, and perhaps other figures; `loss` is what falls. */
  graph(p: Params, parts: GraphParts): Readonly<Record<O | 'loss', Tensor>>;
  /** What that graph reads besides the pictures: a function of the records and where they are used. */
  feeds(items: readonly Drawn<Item>[], use: BatchUse): { tokens: number; feeds: Feeds };
  /** How much a batch counts beside others, from what it is fed: what its loss is the mean over. */
  weight(feeds: Feeds): number;
  readonly trains: (name: string) => boolean;
  /** Where it starts, by full names, and the standard deviation of what is new. */
  readonly given: ReadonlyMap<string, Value>;
  readonly initializerRange: number;
  /** Which of what trains may be new: see InitialOptions. */
  readonly isNew: (name: string) => boolean;
  readonly frozen?: Weights;
}

/** The training data of a recipe, and its held-out data, which is neither augmented nor dropped from. */
export interface RecipeData<Item extends ImageRecord> {
  readonly training: TrainingData<Item>;
  readonly heldOut: TrainingData<Item> | undefined;
}

export async function openData<Item extends ImageRecord>(
  recipe: Recipe,
  source: DataSource<Item>,
  options: TrainOptions,
): Promise<RecipeData<Item>> {
  const { model, data, run } = recipe;
  for (const key of ['patience', 'eval_metric'] as const) {
    const needsData = key === 'patience' ? run.patience !== undefined : run.eval_metric !== 'loss';
    if (needsData && !data.eval) throw new UsageError(`run.${key}: expected held-out data, but there is no data.eval`);
  }
  const training = await TrainingData.open(recipe, source, options);
  if (!data.eval) return { training, heldOut: undefined };
  const still = {
    ...recipe,
    model: { ...model, drop_path_rate: 0 },
    data: { ...data, train: data.eval, augment: false, patch_dropout: 0 },
  };
  return {
    training,
    heldOut: await TrainingData.open(still, { ...source, mix: undefined }, { ...options, name: 'data.eval' }),
  };
}

/** The steps of a recipe: a task but for the model at its end. */
export async function trainSteps<Item extends ImageRecord, O extends string>(
  { run }: Recipe,
  { training, heldOut, images }: RecipeData<Item> & { images: ReadEncoder },
  kind: StepKind<Item, O>,
): Promise<Omit<Task, 'write'>> {
  const batch = run.batch_size_train;
  const steps = await StepsByLength.create(
    run,
    (tokens, pool) => {
      const p = new Params();
      const dropout = run.dropout === 0 ? undefined : pool.apply;
      const outputs = kind.graph(p, { tokens, dropout, imageEmbeds: training.images.embeds(p, batch) });
      return { outputs, declared: p.declared, trains: kind.trains };
    },
    {
      initial: startFrom(new Map([...kind.given, ...(await training.images.initial())]), {
        seed: run.seed,
        initializerRange: kind.initializerRange,
        isNew: kind.isNew,
      }),
      ...(kind.frozen ? { frozen: kind.frozen } : {}),
      lrFactor: layerDecay(images.encoder, run.lr_layer_decay),
    },
  );
  const held = heldOut && measureHeldOut(heldOut, kind, { run, optimiser: steps.optimiser });
  return {
    stepsPerEpoch: training.stepsPerEpoch / run.accum_grad_iters,
    optimiser: steps.optimiser,
    async gradients(step) {
      const parts = (await readParts(training, step, run)).map((part) => ({
        ...part,
        ...kind.feeds(part.items, { step }),
      }));
      const weights = parts.map(({ feeds }) => kind.weight(feeds));
      const total = weights.reduce((a, b) => a + b);
      const scalars: Record<string, number> = {};
      for (const [i, { tokens, feeds, imageFeeds }] of parts.entries()) {
        const share = parts.length === 1 ? 1 : weights[i]! / total;
        const results = await steps.gradients(step * parts.length + i, tokens, { ...feeds, ...imageFeeds });
        for (const [name, x] of Object.entries<number>(results)) scalars[name] = (scalars[name] ?? 0) + share * x;
        if (parts.length > 1) steps.optimiser.addPart(share);
      }
      if (parts.length > 1) steps.optimiser.joinParts();
      return { scalars, ...summary(parts) };
    },
    ...(held && { evaluate: held.evaluate }),
    async close() {
      await training.close();
      await held?.close();
    },
  };
}

/** What of a recipe's `run` decides how its held-out data is read. */
type RunKeys = Pick<Recipe['run'], 'batch_size_train' | 'threads' | 'memory_arena'>;

/** The losses of a kind of training on held-out data, with the parameters as a model has them. */
export function measureHeldOut<Item extends ImageRecord, O extends string>(
  data: Pick<TrainingData<Item>, 'images' | 'stepsPerEpoch' | 'at' | 'close'>,
  kind: Pick<StepKind<Item, O>, 'graph' | 'feeds' | 'frozen'>,
  { run, optimiser }: { run: RunKeys; optimiser: Pick<Optimiser, 'averages'> },
): Required<Pick<Task, 'evaluate' | 'close'>> {
  const outputs = (tokens: number) => {
    const p = new Params();
    return kind.graph(p, { tokens, dropout: undefined, imageEmbeds: data.images.embeds(p, run.batch_size_train) });
  };
  const byLength = new LossesByLength<O>(outputs, { frozen: kind.frozen, session: sessionOptions(run) });
  return {
    async evaluate(signal) {
      const sums: Record<string, number> = {};
      const { stepsPerEpoch } = data;
      const { averages } = optimiser; // the same for all batches
      for (let batch = 0; batch < stepsPerEpoch; batch++) {
        signal?.throwIfAborted();
        const { items, imageFeeds } = await data.at(batch, stepsPerEpoch);
        const { tokens, feeds } = kind.feeds(items, { heldOut: batch });
        const losses = await byLength.run(tokens, { averages, feeds: { ...feeds, ...imageFeeds } });
        for (const [name, x] of Object.entries(losses)) sums[name] = (sums[name] ?? 0) + x / stepsPerEpoch;
      }
      return sums;
    },
    async close() {
      await data.close();
      await byLength.release();
    },
  };
}

/** The batches that make up a step. */
export async function readParts<Item extends ImageRecord>(
  data: TrainingData<Item>,
  step: number,
  { accum_grad_iters: parts, max_steps }: Recipe['run'],
): Promise<Batch<Item>[]> {
  const batches: Batch<Item>[] = [];
  for (let i = 0; i < parts; i++) batches.push(await data.at(step * parts + i, max_steps * parts));
  return batches;
}

/** What a step tells of the batches that made it up. */
export const summary = (parts: readonly Batch<ImageRecord>[]) => ({
  images: parts.reduce((sum, { items }) => sum + items.length, 0),
  batch: parts.map(({ name }) => name).join(', '),
});

/** A graph's scalars without gradients, on the parameters as a model has them: one session for every text length in use. */
class LossesByLength<O extends string> {
  readonly #outputs: (tokens: number) => Readonly<Record<O | 'loss', Tensor>>;
  readonly #frozen: FrozenWeights;
  readonly #options: SessionOptions;
  readonly #sessions = new Map<number, Session<O | 'loss'>>();

  constructor(
    outputs: (tokens: number) => Readonly<Record<O | 'loss', Tensor>>,
    { frozen, session }: { frozen: Weights | undefined; session: SessionOptions },
  ) {
    this.#outputs = outputs;
    this.#frozen = new FrozenWeights(frozen ?? (() => undefined));
    this.#options = session;
  }

  async run(
    tokens: number,
    { averages, feeds }: { averages: Optimiser['averages']; feeds: Feeds },
  ): Promise<Record<string, number>> {
    const bind: Weights = (name) => (name in averages ? 'input' : this.#frozen.bind(name));
    const session = this.#sessions.get(tokens) ?? (await compile(this.#outputs(tokens), bind, this.#options));
    this.#sessions.set(tokens, session);
    const results: Record<string, Value> = await session.run({ ...this.#frozen.feeds, ...averages, ...feeds });
    return Object.fromEntries(Object.entries(results).map(([name, v]) => [name, toFloat32(v)[0]!]));
  }

  async release(): Promise<void> {
    for (const session of this.#sessions.values()) await session.release();
  }
}
