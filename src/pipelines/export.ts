import { join } from 'node:path';
import {
  floatToHalf,
  isFloat,
  type JsonObject,
  jsonObject,
  type StoredTensor,
  takeRows,
  toFloat32,
  UsageError,
  type Value,
} from '../core/index.ts';
import {
  readJsonObject,
  readTensor,
  streamSafetensors,
  type TensorSource,
  writeJson,
  writeText,
} from '../hub/index.ts';
import { readImageProcessorJson } from '../image/index.ts';
import { wordBias, wordTable } from '../models/index.ts';
import { quantisePerChannel } from '../quantise/index.ts';
import { scaleOf, scalesIn } from '../runtime/index.ts';
import { type PrunedTokenizer, pruneWordPiece, readTokenizerFiles } from '../text/index.ts';
import { copyText } from './copy-text.ts';
import { type ModelFiles, openModel } from './model-files.ts';
import { requireFloats } from './quantised-folder.ts';
import { asTransformersFolder, obstacles } from './transformers-folder.ts';

export interface ExportOptions {
  /** For this library alone: the largest matrices as int8 with a scale per output channel, all else as float16. */
  readonly compact?: boolean | undefined;
  /** Of a compact model that reads and writes by its Q-Former alone: keep so many word pieces, the first of its vocabulary. */
  readonly words?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes a model to a folder that transformers loads, one tensor at a time; the model that transformers cannot hold is
 * copied as it is. Gives what whoever uses the folder has to know, in sentences. Throws ConfigError and CheckpointError
 * where the model cannot be read, UsageError where it was quantised or `words` do not fit it; the signal's reason between tensors.
 */
export async function exportModel(
  from: string,
  to: string,
  { compact = false, words, signal }: ExportOptions = {},
): Promise<string[]> {
  if (words !== undefined && !compact) throw new UsageError('words are left out of compact models alone');
  const model = await openModel(from);
  const json = await readJsonObject(join(from, 'config.json'));
  requireFloats(from, json);
  const why = compact ? ['it is compact'] : obstacles({ json, processor: model.processor });
  if (why.length === 0 && !model.instructed) return exportForTransformers({ model, json, to, signal });
  const pruned = words === undefined ? undefined : await prunedTokenizer(model, words);
  const ofWords = [wordTable, scaleOf(wordTable), wordBias];
  const rowsOf = (name: string) => (ofWords.includes(name) ? pruned?.kept : undefined);
  const scales = scalesIn(model.checkpoint.entries);
  const sources = [...model.checkpoint.entries].flatMap(([name, entry]) => {
    const part = partOf(name, entry, rowsOf(name));
    return compact && !scales.has(name) ? compacted(part) : [asStored(part)];
  });
  await streamSafetensors(join(to, 'model.safetensors'), sources, { format: 'pt' }, signal);
  await copyText(from, to);
  if (pruned) await writeVocabulary(to, { ...pruned, json });
  return why.length === 0 ? [] : [`transformers cannot load this model, only blip2 can: ${why.join('; ')}`];
}

/** Throws UsageError where a language model has words of its own. */
async function prunedTokenizer({ folder, language }: ModelFiles, words: number): Promise<PrunedTokenizer> {
  if (!language) return pruneWordPiece(await readTokenizerFiles(folder), [], words);
  throw new UsageError(`${folder}: its words are those of its language model, which cannot be left out`);
}

/** A folder's tokenizer, and the vocabulary's size in its config.json. */
async function writeVocabulary(
  folder: string,
  { files, kept, json }: PrunedTokenizer & { readonly json: JsonObject },
): Promise<void> {
  await writeText(join(folder, 'tokenizer.json'), JSON.stringify(files.tokenizer));
  await writeJson(join(folder, 'tokenizer_config.json'), files.config);
  const qformer = jsonObject(json.qformer_config, 'config.json: qformer_config');
  await writeJson(join(folder, 'config.json'), { ...json, qformer_config: { ...qformer, vocab_size: kept.length } });
}

/** The folder as transformers writes it. What it has no place for stays behind, and is named. */
async function exportForTransformers({
  model,
  json,
  to,
  signal,
}: {
  model: ModelFiles;
  json: Readonly<Record<string, unknown>>;
  to: string;
  signal: AbortSignal | undefined;
}): Promise<string[]> {
  const files = await readTokenizerFiles(model.folder);
  const { config, tensors, processor, tokenizer, dropped } = asTransformersFolder({ ...model, json, files });
  await streamSafetensors(join(to, 'model.safetensors'), tensors, { format: 'pt' }, signal);
  await copyText(model.folder, to);
  await writeJson(join(to, 'config.json'), config);
  await writeJson(join(to, 'processor_config.json'), processor);
  await writeJson(join(to, 'preprocessor_config.json'), {
    ...(await readImageProcessorJson(model.folder)).json,
    image_processor_type: 'BlipImageProcessor',
  });
  await writeText(join(to, 'tokenizer.json'), `${JSON.stringify(tokenizer.tokenizer)}\n`);
  await writeJson(join(to, 'tokenizer_config.json'), tokenizer.config);
  if (dropped.length === 0) return [];
  const parts = new Set(dropped.map((name) => name.split('.')[0]));
  return [`transformers has no place for ${dropped.length} tensors, which stay behind: of ${[...parts].join(', ')}`];
}

/** What is written of an entry: all, or these rows. */
interface Part extends Pick<TensorSource, 'name' | 'dtype' | 'shape'> {
  read(): Promise<Value>;
}

function partOf(name: string, entry: StoredTensor, rows: readonly number[] | undefined): Part {
  const { dtype, shape } = entry;
  const all = () => readTensor({ ...entry, name });
  if (!rows) return { name, dtype, shape, read: all };
  return { name, dtype, shape: [rows.length, ...shape.slice(1)], read: async () => takeRows(await all(), rows) };
}

const asStored = ({ read, ...part }: Part): TensorSource => ({ ...part, data: async () => (await read()).data });

/** The matrices that make up most of a small model: those of the image encoder's and the Q-Former's layers, and words. */
const inInt8 = /^((vision_model|qformer\.encoder)\..*|embeddings\.word_embeddings)\.weight$/;

function compacted(part: Part): TensorSource[] {
  const { name, dtype, shape } = part;
  if (!isFloat(dtype)) return [asStored(part)];
  const read = async () => toFloat32(await part.read());
  const [out] = shape;
  if (out === undefined || shape.length !== 2 || !inInt8.test(name)) {
    return [{ name, dtype: 'float16', shape, data: async () => floatToHalf(await read()) }];
  }
  const quantised = async () => quantisePerChannel(await read(), out);
  return [
    { name, dtype: 'int8', shape, data: async () => (await quantised()).int8 },
    { name: scaleOf(name), dtype: 'float32', shape: [out], data: async () => (await quantised()).scales },
  ];
}
