import { join } from 'node:path';
import { CheckpointError, elements, isFloat, UsageError } from '../core/index.ts';
import { type Checkpoint, readJsonObject, readTensor, streamSafetensors, type TensorSource } from '../hub/index.ts';
import { wordBias, wordTable } from '../models/index.ts';
import { weightOf } from '../runtime/index.ts';
import type { Tokenizer } from '../text/index.ts';
import { copyText } from './copy-text.ts';
import { type ModelFiles, openModel } from './model-files.ts';
import { requireFloats } from './quantised-folder.ts';
import { readWeight } from './read-weight.ts';

/** A model to average. */
interface Part {
  readonly checkpoint: Checkpoint;
  /** For each word piece of the first model its row here; undefined where it has none. All: where nothing reads. */
  readonly rows: readonly (number | undefined)[] | undefined;
}

/** What is not in a mean. */
export interface Averaged {
  /** Of each model, how many of its word pieces the first has not, and so neither has the mean. */
  readonly leftOut: readonly number[];
}

/**
 * Writes the mean of the weights of models that went different ways from one start, as float32, one tensor at a time: often
 * better than each of them (WiSE-FT, Wortsman et al., CVPR 2022; model soups, ICML 2022). All else is the first model's, its
 * word pieces too: where another has others (`model.vocabulary`), rows are averaged by piece, over the models that have it.
 * Throws UsageError for fewer than two models and for quantised ones, CheckpointError naming the tensor that differs in shape
 * or is missing; the signal's reason between tensors.
 */
export async function averageModels(
  from: readonly string[],
  to: string,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<Averaged> {
  const [folder] = from;
  if (folder === undefined || from.length < 2) {
    throw new UsageError(`average: expected two models or more, found ${from.length}`);
  }
  const models = await Promise.all(from.map(openFloats));
  const first = models[0]!;
  for (const other of models.slice(1)) requireSame(first, other);
  const parts = models.map(({ checkpoint, tokenizer }) => ({ checkpoint, rows: rowsOf(first.tokenizer, tokenizer) }));
  const sources = weightNames(first.checkpoint).map((name) => meanOf(name, parts));
  await streamSafetensors(join(to, 'model.safetensors'), sources, { format: 'pt' }, signal);
  await copyText(folder, to);
  return { leftOut: models.map(({ tokenizer }) => lackingIn(first.tokenizer, tokenizer)) };
}

async function openFloats(folder: string): Promise<ModelFiles> {
  requireFloats(folder, await readJsonObject(join(folder, 'config.json')));
  return openModel(folder);
}

/** The pieces of a vocabulary, by their ids. */
const piecesOf = (tokenizer: Tokenizer): (string | undefined)[] =>
  Array.from({ length: tokenizer.vocabularySize }, (_, id) => tokenizer.piece(id));

/** How many pieces of another's vocabulary the first model's has not. */
function lackingIn(first: Tokenizer | undefined, other: Tokenizer | undefined): number {
  if (!first || !other) return 0;
  const known = new Set(piecesOf(first));
  return piecesOf(other).filter((piece) => !known.has(piece)).length;
}

/** Where each piece of the first model's vocabulary stands in another's. */
function rowsOf(first: Tokenizer | undefined, other: Tokenizer | undefined): Part['rows'] {
  if (!first || !other) return undefined;
  const idOf = new Map(piecesOf(other).map((piece, id) => [piece, id]));
  return piecesOf(first).map((piece) => idOf.get(piece));
}

/** Whether a tensor has a row for each word piece. */
const isByPiece = (name: string): boolean => name.endsWith(wordTable) || name === wordBias;

/** All but the scales of int8 matrices, which are part of these. */
const weightNames = ({ entries }: Checkpoint): string[] =>
  [...entries.keys()].filter((name) => weightOf(name) === name || entries.get(weightOf(name))?.dtype !== 'int8');

/** Word tables may have different rows where tokenizers tell which is which. */
function requireSame(first: ModelFiles, other: ModelFiles): void {
  const told = first.tokenizer !== undefined && other.tokenizer !== undefined;
  const checkpoints = [first.checkpoint, other.checkpoint];
  for (const name of new Set(checkpoints.flatMap(weightNames))) {
    const [expected, found] = checkpoints.map(({ entries }) => entries.get(name)?.shape);
    const compared = (shape: readonly number[] | undefined) => (told && isByPiece(name) ? shape?.slice(1) : shape);
    if (compared(expected)?.join() === compared(found)?.join()) continue;
    const shown = (shape: readonly number[] | undefined) => (shape ? `[${shape.join(', ')}]` : 'none');
    throw new CheckpointError(
      `${other.checkpoint.path}: expected ${name} ${shown(expected)} as in ${first.checkpoint.path}, found ` +
        `${shown(found)}; average models of one kind`,
    );
  }
}

/** The mean of a float tensor; another, such as positions, as the first model has it. */
function meanOf(name: string, parts: readonly Part[]): TensorSource {
  const first = parts[0]!.checkpoint.entry(name);
  const { dtype, shape } = first;
  if (!isFloat(dtype) && dtype !== 'int8') {
    return { name, dtype, shape, data: async () => (await readTensor(first)).data };
  }
  const data = async () => {
    const weights = await Promise.all(parts.map(({ checkpoint }) => readWeight(checkpoint, name)));
    if (isByPiece(name)) return meanByPiece(weights, parts, elements(shape.slice(1)));
    return weights[0]!.map((_, i) => weights.reduce((sum, weight) => sum + weight[i]!, 0) / weights.length);
  };
  return { name, dtype: 'float32', shape, data };
}

/** The first of some tables with a row for each word piece, each row the mean over those that have the piece. */
function meanByPiece(tables: readonly Float32Array[], parts: readonly Part[], width: number): Float32Array {
  const mean = tables[0]!.slice();
  for (let row = 0; row * width < mean.length; row++) {
    const same = tables.flatMap((table, i) => {
      const { rows } = parts[i]!;
      const own = rows && row < rows.length ? rows[row] : row; // past the vocabulary is padding
      const values = own === undefined ? [] : table.subarray(own * width, (own + 1) * width);
      return values.length > 0 ? [values] : [];
    });
    for (let j = 0; j < width; j++) {
      mean[row * width + j] = same.reduce((sum, values) => sum + values[j]!, 0) / same.length;
    }
  }
  return mean;
}
