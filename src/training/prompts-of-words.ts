import { Matrix } from 'ml-matrix';
import { floats, int64s, joinRows, type StoredTensor, type Value } from '../core/index.ts';
import type { ImageRecord } from '../data/index.ts';
import { input } from '../graph/index.ts';
import { Params } from '../nn/index.ts';
import { compile, weightsFrom } from '../runtime/index.ts';
import { firstBatches } from './first-batches.ts';
import { finishedFeatures } from './image-features.ts';
import type { FrozenLanguageModel } from './language-model.ts';
import { type AffineMap, leastSquares, type Rows, rowsOf } from './least-squares.ts';
import type { ReadEncoder } from './pretrained.ts';
import { type QueriesOnPictures, readStates } from './queries-on-pictures.ts';
import type { Recipe } from './recipe.ts';
import type { Drawn, StepImages } from './step-images.ts';
import { sessionOptions } from './steps-by-length.ts';
import type { TrainingData } from './training-data.ts';

/**
 * Soft prompts that begin as words. The fully connected layer of stage 2 is new, and what a language model has never read
 * says nothing to it: many pictures go by until the layer finds where the words lie that a trained Q-Former could already
 * tell. But captions say what words these are, and the language model where they lie: so the layer is set, by least squares,
 * to where its prompts are nearest to the mean of the embeddings of the caption's tokens, and scaled to vary as much as words
 * do. The Q-Former stays as it was. docs/findings.md has what it brings.
 */

/** From how many pictures it is learned where the words lie, and how many of them are in memory at a time. */
const pictures = 4096;
const atOnce = 256;
/** Captions say what a query sees with much noise, so many rows are taken. */
const fit = { damping: 1e-2, rowsEach: 100 };

/** What of a language model reads words. */
type Words = Pick<FrozenLanguageModel, 'lm' | 'tokenizer'> & {
  readonly stored: ReadonlyMap<string, StoredTensor | Value>;
};

/** A Q-Former from stage 1, a language model for it to prompt, and what that is to write of a picture. */
interface Prompted<Item extends ImageRecord> extends Pick<QueriesOnPictures, 'config' | 'trained'> {
  readonly images: Pick<ReadEncoder, 'encoder' | 'pooling'>;
  readonly language: Words;
  text(drawn: Drawn<Item>): string;
}

/** What of a recipe's `run` decides which pictures these are, and how they are read. */
type PicturesRun = Pick<
  Recipe['run'],
  'max_steps' | 'batch_size_train' | 'accum_grad_iters' | 'threads' | 'memory_arena'
>;

/** `trained` with a fully connected layer to begin with, by the pictures of the first steps. Throws the signal's reason. */
export async function promptsOfWords<Item extends ImageRecord>(
  { text, ...prompted }: Prompted<Item>,
  training: Pick<TrainingData<Item>, 'at'> & { readonly images: Pick<StepImages, 'initial'> },
  { run, signal }: { readonly run: PicturesRun; readonly signal: AbortSignal | undefined },
): Promise<ReadonlyMap<string, Value>> {
  const { trained, language } = prompted;
  const weights = new Map([...trained, ...(await training.images.initial())]);
  const states: Value[] = [];
  const captions: number[][] = [];
  for await (const batches of firstBatches(training, { pictures, atOnce, run, signal })) {
    const frozen = joinRows(batches.map(({ imageFeeds }) => imageFeeds.imageEmbeds!));
    const options = { session: sessionOptions(run), weights };
    const features = await finishedFeatures(frozen, { images: prompted.images, ...options });
    states.push(await readStates({ ...prompted, ...options, trained: weights, features }, ({ queries }) => queries));
    for (const { items } of batches) captions.push(...items.map((drawn) => tokensOf(language, text(drawn))));
  }
  const words = await embeddingsOf(language, new Set(captions.flat()));
  const { weight, bias } = nearestToWords(joinRows(states), captions, words);
  const shape = [weight.length, weight[0]!.length];
  return new Map([
    ...trained,
    ['language_projection.weight', floats(shape, Float32Array.from(weight.flat()))],
    ['language_projection.bias', floats(shape.slice(0, 1), Float32Array.from(bias.flat()))],
  ]);
}

const tokensOf = ({ tokenizer }: Words, text: string): number[] => tokenizer.encode(text, { addSpecialTokens: false });

/** What the language model reads of each token. */
async function embeddingsOf(
  { lm, stored }: Words,
  tokens: ReadonlySet<number>,
): Promise<ReadonlyMap<number, Float32Array>> {
  const embedded = lm.embed(new Params().at('language_model'), input('ids', 'int64', [1, 'sequence']));
  const session = await compile({ embedded }, weightsFrom(stored));
  try {
    const read = await session.run({ ids: int64s([1, tokens.size], [...tokens]) });
    const { data, width } = rowsOf(read.embedded);
    return new Map([...tokens].map((token, i) => [token, data.slice(i * width, (i + 1) * width)]));
  } finally {
    await session.release();
  }
}

/** The layer, from the queries' states [N, Q, D] and the tokens of N captions. */
function nearestToWords(
  states: Value,
  captions: readonly (readonly number[])[],
  words: ReadonlyMap<number, Float32Array>,
): AffineMap {
  const rows = rowsOf(states);
  const targets = captions.map((tokens) => new Matrix(tokens.map((token) => words.get(token)!)).mean('column'));
  const queries = states.shape[1]!;
  const map = leastSquares(rows, (row) => targets[Math.floor(row / queries)]!, fit);
  const middle = new Matrix(targets).mean('column');
  const read = new Matrix([...words.values()]);
  const factor = spread(read, read.mean('column')) / spread(prompts(rows, map), middle);
  return {
    weight: map.weight.map((row) => row.map((w) => factor * w)),
    bias: map.bias.map(([b], i) => [middle[i]! + factor * (b! - middle[i]!)]),
  };
}

/** What the map makes of some of the rows, evenly chosen. */
function prompts({ data, width }: Rows, { weight, bias }: AffineMap): Matrix {
  const count = data.length / width;
  const step = Math.max(1, Math.floor(count / 1000));
  const some = Array.from({ length: Math.ceil(count / step) }, (_, i) =>
    data.subarray(i * step * width, (i * step + 1) * width),
  );
  return new Matrix(some).mmul(new Matrix(weight).transpose()).addRowVector(bias.flat());
}

/** How far rows are from their middle: the root of the mean square. */
const spread = (rows: Matrix, middle: readonly number[]): number =>
  rows
    .clone()
    .subRowVector([...middle])
    .norm('frobenius') / Math.sqrt(rows.size);
