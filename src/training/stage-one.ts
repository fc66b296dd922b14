import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Blip2Config, parseBlip2Config, stageOneInputs, stageOneLosses } from '../blip2/index.ts';
import { floats, random, toFloat32, type Value } from '../core/index.ts';
import {
  concatenate,
  drawCaption,
  type FeatureCache,
  type ImageTextRecord,
  openDataset,
  type Records,
} from '../data/index.ts';
import { bertToQFormer, Checkpoint } from '../hub/index.ts';
import { DropoutPool, Params } from '../nn/index.ts';
import { schedules } from '../optim/index.ts';
import {
  blipCaption,
  pruneWordPiece,
  readTokenizerFiles,
  Tokenizer,
  type TokenizerFiles,
  withSpecialToken,
} from '../text/index.ts';
import { BatchPlan, type PlannedBatch } from './batch-plan.ts';
import { encodeDataset, type FrozenEncoder, openFeatureCache } from './image-features.ts';
import { initialValues } from './initial-values.ts';
import { type Progress, type StepResult, trainLoop } from './loop.ts';
import { readFrozenEncoder, writeModel } from './model-folder.ts';
import type { StageOneRecipe } from './recipe.ts';
import { RunFolder } from './run-folder.ts';
import { TrainStep } from './step.ts';

export interface TrainOptions {
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
  readonly skipBad?: boolean;
  readonly onProgress?: (p: Progress) => void;
  readonly onMessage?: (text: string) => void;
}

type StageOneOutput = 'loss' | 'itc' | 'itm' | 'itg' | 'itmAccuracy';

/** Trains stage 1 (§3.2) from a recipe and writes the run's folder. Returns false where it was interrupted. */
export async function trainStageOne(recipe: StageOneRecipe, options: TrainOptions = {}): Promise<boolean> {
  const { model, data, run } = recipe;
  const folder = new RunFolder(run.output_dir, { keep: run.keep_checkpoints });
  await folder.begin(recipe, { resume: options.resume ?? false });

  const frozen = await readFrozenEncoder(model);
  const sets = await Promise.all(data.train.map((d) => openDataset(d, { skipBad: options.skipBad ?? false })));
  const records = concatenate(sets);
  const cache = await openFeatureCache(data.feature_cache, frozen);
  const keys = await encodeDataset(records, cache, {
    frozen,
    onProgress: (done, total) => options.onMessage?.(`encoding images: ${done} of ${total}`),
    signal: options.signal,
  });

  const text = await readText(model, records);
  const config = configOf(model, text, frozen);
  const steps = new StepsByLength({
    recipe,
    config,
    decoderStart: text.tokenizer.require('bos'),
    patches: cache.patches,
    width: cache.width,
  });
  const plan = new BatchPlan(
    sets.map((s) => s.length),
    { batchSize: run.batch_size_train, seed: run.seed },
  );
  const batches = new Batches({ recipe, sets, plan, keys, cache, tokenizer: text.tokenizer });
  await steps.initialise(text.initial);

  const finished = await trainLoop({
    folder,
    optimiser: steps.optimiser,
    schedule: schedules[run.lr_sched]({
      initLr: run.init_lr,
      minLr: run.min_lr,
      warmupLr: run.warmup_lr,
      warmupSteps: run.warmup_steps,
      stepsPerEpoch: plan.stepsPerEpoch,
      maxEpoch: run.max_steps / plan.stepsPerEpoch,
    }),
    maxSteps: run.max_steps,
    logEvery: run.log_every,
    saveEvery: run.save_every,
    gradients: (step) => steps.gradients(step, batches.at(step)),
    signal: options.signal,
    ...(options.onProgress ? { onProgress: options.onProgress } : {}),
  });
  if (finished) {
    await writeModel(folder.model, {
      architecture: 'Blip2ForImageTextRetrieval',
      config,
      frozen,
      parameters: steps.optimiser.parameters,
      tokenizers: { root: text.files },
    });
  }
  cache.close();
  return finished;
}

interface Text {
  readonly files: TokenizerFiles;
  readonly tokenizer: Tokenizer;
  /** BERT's weights under the Q-Former's names, embeddings of the kept pieces only. */
  readonly initial: ReadonlyMap<string, Value>;
  readonly bertConfig: Record<string, unknown>;
}

/** The Q-Former's tokenizer, [DEC] included, and its starting weights. */
async function readText(model: StageOneRecipe['model'], records: Records): Promise<Text> {
  const bert = await Checkpoint.open(model.bert);
  const bertConfig = JSON.parse(await readFile(join(model.bert, 'config.json'), 'utf8'));
  const withDec = withSpecialToken(await readTokenizerFiles(model.bert), 'bos', '[DEC]');
  const initial = new Map(Object.entries(bertToQFormer(await bert.readAll())));
  if (!model.prune_vocabulary) return { files: withDec, tokenizer: new Tokenizer(withDec), initial, bertConfig };

  const captions: string[] = [];
  for (let i = 0; i < records.length; i++) captions.push(...records.record(i).captions.map((c) => blipCaption(c)));
  const { kept, files } = pruneWordPiece(withDec, captions);
  const words = initial.get('embeddings.word_embeddings.weight');
  if (words) initial.set('embeddings.word_embeddings.weight', takeRows(words, kept));
  return { files, tokenizer: new Tokenizer(files), initial, bertConfig };
}

/** Rows of a table; one that it does not have ([DEC], which BERT never saw) starts as the average of all. */
function takeRows(table: Value, rows: readonly number[]): Value {
  const [entries, width] = table.shape as [number, number];
  const all = toFloat32(table);
  const out = new Float32Array(rows.length * width);
  for (const [i, row] of rows.entries()) {
    if (row < entries) out.set(all.subarray(row * width, (row + 1) * width), i * width);
    else for (let j = 0; j < all.length; j++) out[i * width + (j % width)]! += all[j]! / entries;
  }
  return floats([rows.length, width], out);
}

function configOf(
  model: StageOneRecipe['model'],
  { tokenizer, bertConfig: b }: Text,
  frozen: FrozenEncoder,
): Blip2Config {
  return parseBlip2Config({
    num_query_tokens: model.num_query_token,
    image_text_hidden_size: model.embed_dim,
    qformer_config: {
      hidden_size: b.hidden_size,
      num_hidden_layers: model.num_hidden_layers ?? b.num_hidden_layers,
      num_attention_heads: b.num_attention_heads,
      intermediate_size: b.intermediate_size,
      hidden_act: b.hidden_act,
      layer_norm_eps: b.layer_norm_eps,
      max_position_embeddings: b.max_position_embeddings,
      cross_attention_frequency: model.cross_attention_freq,
      encoder_hidden_size: frozen.encoder.width,
      vocab_size: tokenizer.vocabularySize,
    },
  });
}

/** A batch as the graph takes it, but for the noise. */
interface Batch {
  readonly imageEmbeds: Value;
  readonly inputIds: Value;
  readonly attentionMask: Value;
  readonly negatives: Value;
  readonly name: string;
}

/** Captions are padded to one of few lengths, because each length is a graph of its own. */
const lengthStep = 6;

class Batches {
  readonly #o: {
    recipe: StageOneRecipe;
    sets: readonly Records[];
    plan: BatchPlan;
    keys: readonly string[];
    cache: FeatureCache;
    tokenizer: Tokenizer;
  };
  readonly #starts: number[];

  constructor(o: {
    recipe: StageOneRecipe;
    sets: readonly Records[];
    plan: BatchPlan;
    keys: readonly string[];
    cache: FeatureCache;
    tokenizer: Tokenizer;
  }) {
    this.#o = o;
    this.#starts = o.sets.map((_, i) => o.sets.slice(0, i).reduce((n, s) => n + s.length, 0));
  }

  at(step: number): Batch {
    const { recipe, sets, plan, keys, cache, tokenizer } = this.#o;
    const planned = plan.at(step);
    const set = sets[planned.dataset]!;
    const records = planned.indices.map((i) => set.record(i));
    const captions = this.#captions(planned, records);
    const maxLength = recipe.data.max_txt_len;
    const longest = Math.max(...tokenizer.encodeBatch(captions, { maxLength }).inputIds.shape.slice(1));
    const padTo = Math.min(maxLength, Math.ceil(longest / lengthStep) * lengthStep);
    const { inputIds, attentionMask } = tokenizer.encodeBatch(captions, { maxLength, padTo });
    const size = cache.patches * cache.width;
    const features = new Float32Array(records.length * size);
    planned.indices.forEach((index, i) => {
      cache.read(keys[this.#starts[planned.dataset]! + index]!, features, i * size);
    });
    return {
      imageEmbeds: floats([records.length, cache.patches, cache.width], features),
      inputIds,
      attentionMask,
      negatives: negativePairs(records, captions),
      name: records.map((r) => r.id).join(', '),
    };
  }

  #captions({ indices, epoch }: PlannedBatch, records: readonly ImageTextRecord[]): string[] {
    const { seed } = this.#o.recipe.run;
    return records.map((record, i) => blipCaption(drawCaption(record, { seed, epoch, index: indices[i]! })));
  }
}

/** [B, B]: 1 where image i and text j are no pair: neither the same image nor the same caption. */
function negativePairs(records: readonly ImageTextRecord[], captions: readonly string[]): Value {
  const n = records.length;
  const negative = (i: number, j: number) => records[i]!.imageId !== records[j]!.imageId && captions[i] !== captions[j];
  return floats(
    [n, n],
    Float32Array.from({ length: n * n }, (_, k) => (negative(Math.floor(k / n), k % n) ? 1 : 0)),
  );
}

interface GraphOptions {
  readonly recipe: StageOneRecipe;
  readonly config: Blip2Config;
  readonly decoderStart: number;
  readonly patches: number;
  readonly width: number;
}

/** The stage-1 graph for every caption length in use; all share the parameters, the gradients and the moments. */
class StepsByLength {
  readonly #o: GraphOptions;
  readonly #steps = new Map<number, { train: TrainStep<StageOneOutput>; dropout: DropoutPool }>();
  #first: TrainStep<StageOneOutput> | undefined;

  constructor(o: GraphOptions) {
    this.#o = o;
  }

  get optimiser(): TrainStep<StageOneOutput>['optimiser'] {
    if (!this.#first) throw new TypeError('initialise() comes first');
    return this.#first.optimiser;
  }

  async initialise(given: ReadonlyMap<string, Value>): Promise<void> {
    this.#first = (await this.#step(lengthStep, given)).train;
  }

  async gradients(step: number, { name, ...feeds }: Batch): Promise<StepResult> {
    const { run } = this.#o.recipe;
    const length = feeds.inputIds.shape[1]!;
    const { train, dropout } = await this.#step(length);
    const batch = run.batch_size_train;
    const noise = random(run.seed, 'negatives', step);
    const gumbel = () =>
      floats(
        [batch, batch],
        Float32Array.from({ length: batch * batch }, () => noise.gumbel()),
      );
    const outputs = await train.gradients({
      ...feeds,
      ...dropout.feeds(run.seed, step),
      gumbelText: gumbel(),
      gumbelImage: gumbel(),
      hardness: floats([], [hardness(step, run.hard_negatives)]),
    });
    const scalars = Object.fromEntries(Object.entries(outputs).map(([key, v]) => [key, toFloat32(v)[0]!]));
    return { scalars, images: batch, batch: name };
  }

  async #step(length: number, given?: ReadonlyMap<string, Value>) {
    const known = this.#steps.get(length);
    if (known) return known;
    const { recipe, config, patches, width, decoderStart } = this.#o;
    const { run } = recipe;
    const dropout = new DropoutPool(run.dropout);
    const p = new Params();
    const inputs = stageOneInputs({ batch: run.batch_size_train, patches, imageWidth: width, tokens: length });
    const { loss, itc, itm, itg, itmAccuracy } = stageOneLosses(p, inputs, config, {
      decoderStart,
      labelSmoothing: run.label_smoothing,
      gatherGradient: run.gather_gradient,
      weights: run.loss_weights,
      dropout: run.dropout === 0 ? undefined : dropout.apply,
      ...(run.matching_pairs === undefined ? {} : { matchingPairs: run.matching_pairs }),
    });
    const graph = { outputs: { loss, itc, itm, itg, itmAccuracy }, declared: p.declared, trains: () => true };
    // Several graphs take turns on the same cores: a thread that spins after its turn would take one from the next.
    const session = { spinning: false, ...(run.threads === undefined ? {} : { threads: run.threads }) };
    const train = this.#first
      ? await this.#first.sibling(graph, session)
      : await TrainStep.create(
          graph,
          {
            initial: initialValues(p.declared, given ?? new Map(), {
              seed: run.seed,
              initializerRange: recipe.model.initializer_range,
            }),
          },
          {
            session,
            weightDecay: run.weight_decay,
            beta2: run.beta2,
            clipNorm: run.clip_norm,
            lrScale: lrScale(run.lr_scales),
          },
        );
    const step = { train, dropout };
    this.#steps.set(length, step);
    return step;
  }
}

/** 0 before the first step, 1 from the second, linear between: ITM does not learn where it starts with hard negatives. */
function hardness(step: number, [from, to]: readonly [number, number]): number {
  if (step >= to) return 1;
  return step < from ? 0 : (step - from) / (to - from);
}

export function lrScale(scales: Readonly<Record<string, number>>): (name: string) => number {
  const patterns = Object.entries(scales).map(([pattern, scale]) => [new RegExp(pattern), scale] as const);
  return (name) => patterns.find(([pattern]) => pattern.test(name))?.[1] ?? 1;
}
