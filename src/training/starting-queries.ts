import { readImage } from '../blip2/index.ts';
import { joinRows, type Value } from '../core/index.ts';
import type { ImageTextRecord } from '../data/index.ts';
import { input } from '../graph/index.ts';
import { imageMemory } from '../models/index.ts';
import { Params } from '../nn/index.ts';
import { anchorQueries } from './anchored-queries.ts';
import { balanceQueries } from './balanced-queries.ts';
import { firstBatches } from './first-batches.ts';
import { finishedFeatures, finishFeatures } from './image-features.ts';
import { type InitialOptions, startFrom } from './initial-values.ts';
import type { ReadEncoder } from './pretrained.ts';
import type { QueriesOnPictures } from './queries-on-pictures.ts';
import type { Recipe } from './recipe.ts';
import { sessionOptions } from './steps-by-length.ts';
import type { TrainingData } from './training-data.ts';

/** From how many pictures it is learned what queries do. */
const pictures = 256;

interface StartOptions extends Omit<InitialOptions, 'seed'> {
  readonly signal: AbortSignal | undefined;
  readonly images: ReadEncoder;
  readonly run: Recipe['run'] & { readonly balance_queries: boolean; readonly anchor_queries: boolean };
}

/**
 * What a Q-Former starts from, what is new in it too, with its queries changed as asked, by the pictures of the first steps.
 * Throws the signal's reason.
 */
export async function startQueries(
  { config, trained }: Pick<QueriesOnPictures, 'config' | 'trained'>,
  training: TrainingData<ImageTextRecord>,
  { images, run, signal, ...fresh }: StartOptions,
): Promise<ReadonlyMap<string, Value>> {
  if (!run.balance_queries && !run.anchor_queries) return trained;
  const read: Value[] = [];
  for await (const batches of firstBatches(training, { pictures, atOnce: pictures, run, signal })) {
    read.push(...batches.map(({ imageFeeds }) => imageFeeds.imageEmbeds!));
  }

  const frozen = joinRows(read);
  const p = new Params();
  const finished = finishFeatures(p.at('vision_model'), input('frozen', 'float32', frozen.shape), images);
  readImage(p, imageMemory(p.at('qformer'), finished, { config: config.qformer_config }), config);
  const given = new Map([...trained, ...(await training.images.initial())]);
  const start = startFrom(given, { seed: run.seed, ...fresh })({ declared: p.declared, trains: () => true });

  const session = sessionOptions(run);
  const features = await finishedFeatures(frozen, { images, weights: start, session });
  const { prefixTokens } = images.encoder;
  // Anchors are found by least squares on what queries ask with, which has to tell them apart.
  const balanced = run.balance_queries ? await balanceQueries({ config, trained: start, features, session }) : start;
  const changed = run.anchor_queries
    ? await anchorQueries({ config, trained: balanced, features, prefixTokens, session })
    : balanced;
  return new Map([...trained, ...changed]);
}
