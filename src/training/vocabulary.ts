import { z } from 'zod';
import type { Blip2Config } from '../blip2/index.ts';
import { ConfigError, floats, joinRows, toFloat32, type Value } from '../core/index.ts';
import type { Records } from '../data/index.ts';
import { bertToQFormer, Checkpoint, resolveModel } from '../hub/index.ts';
import { wordBias, wordTable } from '../models/index.ts';
import { blipCaption, extendWordPiece, readTokenizerFiles, type TokenizerFiles } from '../text/index.ts';

/** What of a stage-1 model a task goes on from. */
export const stageOneKeys = {
  /** A folder that a stage-1 run wrote. */
  pretrained: z.string(),
  /** The BERT-style checkpoint that it began with, a folder or an id: word pieces that were pruned come back from there. */
  vocabulary: z.string().optional(),
};

/** All that a dataset's texts say, as they are read. */
export function* textsOf(records: Records): Generator<string> {
  for (let i = 0; i < records.length; i++) yield* records.record(i).captions.map((caption) => blipCaption(caption));
}

/** What of a Q-Former depends on its vocabulary. */
interface Words {
  readonly config: Blip2Config;
  readonly trained: ReadonlyMap<string, Value>;
  readonly files: TokenizerFiles;
}

/**
 * A Q-Former with the word pieces that it lacks from the checkpoint which it began with, after its own, those of the texts
 * first. Training moves embeddings so little (a cosine of 0.99 to what they were) that the checkpoint's fit among them: words
 * that no caption had are then read as BERT reads them and not letter by letter. The head begins by writing them as seldom
 * as the rarest. Without a checkpoint it stays as it is. Throws ConfigError where the checkpoint has no embeddings, or such
 * of another width.
 */
export async function withPiecesOf<Model extends Words>(
  checkpoint: string | undefined,
  model: Model,
  records: Records,
): Promise<Model> {
  if (checkpoint === undefined) return model;
  const folder = await resolveModel(checkpoint);
  const { added, files } = extendWordPiece(model.files, await readTokenizerFiles(folder), textsOf(records));
  const bert = new Map(Object.entries(bertToQFormer(await (await Checkpoint.open(folder)).readAll())));
  const [known, all] = [model.trained.get(wordTable)!, bert.get(wordTable)];
  if (all?.shape[1] !== known.shape[1]) {
    const found = all ? String(all.shape[1]) : 'none';
    throw new ConfigError(`${folder}: expected ${wordTable} of width ${known.shape[1]}, found ${found}`);
  }
  const words = joinRows([asFloats(known), tableRows(all!, added)]);
  const trained = new Map(model.trained).set(wordTable, words);
  const bias = trained.get(wordBias);
  if (bias) {
    const rarest = toFloat32(bias).reduce((a, b) => Math.min(a, b));
    const seldom = floats([added.length], new Float32Array(added.length).fill(rarest));
    trained.set(wordBias, joinRows([asFloats(bias), seldom]));
  }
  const qformer = { ...model.config.qformer_config, vocab_size: words.shape[0]! };
  return { ...model, files, trained, config: { ...model.config, qformer_config: qformer } };
}

/** Rows of a table; one that it does not have ([DEC], which BERT never saw) starts as the average of all. */
export function tableRows(table: Value, rows: readonly number[]): Value<'float32'> {
  const [entries, width] = table.shape as [number, number];
  const all = toFloat32(table);
  const out = new Float32Array(rows.length * width);
  for (const [i, row] of rows.entries()) {
    if (row < entries) out.set(all.subarray(row * width, (row + 1) * width), i * width);
    else for (let j = 0; j < all.length; j++) out[i * width + (j % width)]! += all[j]! / entries;
  }
  return floats([rows.length, width], out);
}

const asFloats = (v: Value): Value<'float32'> => floats(v.shape, toFloat32(v));
