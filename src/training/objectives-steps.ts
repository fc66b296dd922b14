import { z } from 'zod';
import {
  type Blip2Config,
  type StageOneOptions,
  stageOneInputs,
  stageOneLosses,
  trainsWithEncoder,
  writingLosses,
} from '../blip2/index.ts';
import { floats, random, UsageError, type Value } from '../core/index.ts';
import type { ImageTextRecord, Records } from '../data/index.ts';
import { input, type Tensor } from '../graph/index.ts';
import type { Params } from '../nn/index.ts';
import { Tokenizer, type TokenizerFiles } from '../text/index.ts';
import { type CaptionRecipe, captionOf, captionSource } from './captions.ts';
import { writeModel } from './model-folder.ts';
import { trainInParts } from './objectives-in-parts.ts';
import type { PretrainedModel, ReadEncoder } from './pretrained.ts';
import { runSection } from './recipe.ts';
import { startQueries } from './starting-queries.ts';
import type { Drawn } from './step-images.ts';
import { type BatchUse, type GraphParts, openData, type StepKind, trainSteps } from './steps.ts';
import { padded } from './steps-by-length.ts';
import type { Task, TrainOptions } from './task.ts';

/** What the tasks with stage 1's three objectives share. */

const lossWeight = z.number().nonnegative();

export const objectivesRun = runSection('recall').extend({
  label_smoothing: z.number().min(0).max(1).default(0.1),
  gather_gradient: z.boolean().default(true),
  /** How many pairs of the batch ITM takes; absent: all. */
  matching_pairs: z.int().positive().optional(),
  /** ITM's negatives are drawn evenly until the first of these steps, and as hard as the reference's from the second. */
  hard_negatives: z.tuple([z.int().nonnegative(), z.int().nonnegative()]).default([0, 0]),
  /** Queries begin by looking at a place each: see ./anchored-queries. For a frozen image encoder. */
  anchor_queries: z.boolean().default(false),
  /** What layers add to the queries begins no longer than these: see ./balanced-queries. For a frozen image encoder. */
  balance_queries: z.boolean().default(false),
  /** What each loss counts in the sum. Where ITC and ITM weigh 0, only captions are written. */
  loss_weights: z
    .strictObject({ itc: lossWeight, itm: lossWeight, itg: lossWeight })
    .refine((weights) => Object.values(weights).some((weight) => weight > 0), {
      error: 'expected one weight above 0: there is nothing to learn',
    })
    .default({ itc: 1, itm: 1, itg: 1 }),
});

interface ObjectivesRecipe extends CaptionRecipe {
  readonly run: z.output<typeof objectivesRun>;
}

/** A Q-Former to train, with its tokenizer. */
export type QFormerStart = Pick<PretrainedModel, 'config' | 'trained'> & { readonly files: TokenizerFiles };

export interface ObjectivesStart {
  readonly images: ReadEncoder;
  /** The Q-Former that training begins with; the vocabulary of a new one may depend on the captions. */
  qformer(records: Records): Promise<QFormerStart>;
  /** Standard deviation of weights that the start does not have. */
  readonly initializerRange: number;
  /** Which weights it need not have. */
  readonly isNew: (name: string) => boolean;
  /** Whether other captions of an image in the batch are right ones for ITC too, or left out. */
  readonly sharesTargets: boolean;
}

/** Of a model of stage 1, transformers keeps neither the temperature nor the captioning head. */
export const fromStageOne = { initializerRange: 0.02, isNew: (name: string) => /^(temp$|cls\.)/.test(name) };

/** A task with the three objectives. Throws UsageError, before anything is opened, where keys do not fit each other. */
export async function trainObjectives(
  recipe: ObjectivesRecipe,
  { images, qformer, sharesTargets, ...fresh }: ObjectivesStart,
  options: TrainOptions,
): Promise<Task> {
  const { run } = recipe;
  for (const key of ['anchor_queries', 'balance_queries'] as const) {
    if (run[key] && !recipe.model.freeze_vit) {
      throw new UsageError(`run.${key}: expected false, because model.freeze_vit is false`);
    }
  }
  if (run.accum_grad_iters > 1 && run.matching_pairs !== undefined) {
    throw new UsageError('run.accum_grad_iters: expected 1, because of run.matching_pairs');
  }
  const data = await openData(recipe, captionSource(images, recipe), options);
  const { config, trained, files } = await qformer(data.training.records);
  const start = await startQueries({ config, trained }, data.training, {
    images,
    run,
    signal: options.signal,
    ...fresh,
  });
  const tokenizer = new Tokenizer(files);
  const objectives = optionsOf(run, tokenizer);
  const kind: StepKind<ImageTextRecord, string> = {
    graph: (p, parts) => lossGraph(p, parts, { config, options: objectives }),
    feeds(items, use) {
      const captions = items.map((drawn) => captionOf(drawn, run.seed));
      const tokens = tokenise(captions, tokenizer, recipe.data.max_txt_len);
      return {
        tokens: tokens.inputIds.shape[1]!,
        feeds: { ...tokens, ...pairsOf(items, captions, sharesTargets), ...noiseOf(run, items.length, use) },
      };
    },
    weight: () => 1,
    trains: trainsWithEncoder,
    given: start,
    ...fresh,
  };
  const train = run.accum_grad_iters === 1 ? trainSteps : trainInParts(config, objectives);
  const steps = await train(recipe, { ...data, images }, kind);
  return {
    ...steps,
    write: (folder) =>
      writeModel(folder, {
        architecture: 'Blip2ForImageTextRetrieval',
        config,
        images,
        parameters: steps.optimiser.averages,
        tokenizers: { root: files },
      }),
  };
}

function lossGraph(
  p: Params,
  { imageEmbeds, tokens, dropout }: GraphParts,
  { config, options }: { config: Blip2Config; options: StageOneOptions },
): Record<string, Tensor> & { loss: Tensor } {
  const [batch, patches, imageWidth] = imageEmbeds.shape.map(Number) as [number, number, number];
  const inputs = {
    ...stageOneInputs({ batch, patches, imageWidth, tokens }),
    positives: input('positives', 'float32', [batch, batch]),
    imageEmbeds,
  };
  // A model has the parameters of all three, whatever trains.
  const losses = stageOneLosses(p, inputs, config, { ...options, dropout });
  if (writesOnly(options)) return writingLosses(p, inputs, config, { ...options, dropout });
  const { loss, itc, itm, itg, itmAccuracy, queryCosine } = losses;
  return { loss, itc, itm, itg, itmAccuracy, queryCosine };
}

const writesOnly = ({ weights = {} }: StageOneOptions): boolean => weights.itc === 0 && weights.itm === 0;

const optionsOf = (run: ObjectivesRecipe['run'], tokenizer: Tokenizer): StageOneOptions => ({
  decoderStart: tokenizer.require('bos'),
  labelSmoothing: run.label_smoothing,
  gatherGradient: run.gather_gradient,
  weights: run.loss_weights,
  ...(run.matching_pairs === undefined ? {} : { matchingPairs: run.matching_pairs }),
});

function tokenise(captions: readonly string[], tokenizer: Tokenizer, maxLength: number) {
  const { inputIds } = tokenizer.encodeBatch(captions, { maxLength });
  return tokenizer.encodeBatch(captions, { maxLength, padTo: padded(inputIds.shape[1]!, maxLength) });
}

/** Which images and texts of a batch belong together, [B, B] each: see StageOneBatch. */
function pairsOf(items: readonly Drawn<ImageTextRecord>[], captions: readonly string[], sharesTargets: boolean) {
  // An id says nothing beside another dataset's, and the parts of a large batch come from several.
  const names = items.map(({ dataset, record }) => `${dataset} ${record.imageId}`);
  const sameImage = (i: number, j: number) => names[i] === names[j];
  return {
    positives: square(items.length, (i, j) => (i === j || (sharesTargets && sameImage(i, j)) ? 1 : 0)),
    // Neither the same image nor the same caption.
    negatives: square(items.length, (i, j) => (!sameImage(i, j) && captions[i] !== captions[j] ? 1 : 0)),
  };
}

/** How hard the negatives of a batch are to be, and the noise that draws them. */
function noiseOf({ seed, hard_negatives }: ObjectivesRecipe['run'], batch: number, use: BatchUse) {
  const noise = random(seed, 'negatives', 'step' in use ? use.step : use.heldOut);
  return {
    gumbelText: square(batch, () => noise.gumbel()),
    gumbelImage: square(batch, () => noise.gumbel()),
    hardness: floats([], [hardness(use, hard_negatives)]),
  };
}

/**
 * In training 0 before the first step, 1 from the second, linear between: ITM does not learn where it starts with hard
 * negatives. Held-out data are measured with those of the reference.
 */
function hardness(use: BatchUse, [from, to]: readonly [number, number]): number {
  if ('heldOut' in use || use.step >= to) return 1;
  return use.step < from ? 0 : (use.step - from) / (to - from);
}

const square = (n: number, f: (i: number, j: number) => number): Value<'float32'> =>
  floats(
    [n, n],
    Float32Array.from({ length: n * n }, (_, k) => f(Math.floor(k / n), k % n)),
  );
