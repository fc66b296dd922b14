import { join } from 'node:path';
import { type Blip2Config, parseBlip2Config, stageOneInputs, stageOneLosses } from '../blip2/index.ts';
import { floats, random, toFloat32, type Value } from '../core/index.ts';
import type { Records } from '../data/index.ts';
import { bertToQFormer, Checkpoint, type JsonObject, readJsonObject } from '../hub/index.ts';
import { Params } from '../nn/index.ts';
import {
  blipCaption,
  pruneWordPiece,
  readTokenizerFiles,
  Tokenizer,
  type TokenizerFiles,
  withSpecialToken,
} from '../text/index.ts';
import { type ImageTextBatch, ImageTextData } from './image-text-data.ts';
import { initialValues } from './initial-values.ts';
import { type ReadEncoder, readFrozenEncoder, readStageOne, type StageOneModel, writeModel } from './model-folder.ts';
import type { NewQFormer, StageOneRecipe } from './recipe.ts';
import { type GraphOf, padded, StepsByLength } from './steps-by-length.ts';
import type { Task, TrainOptions } from './task.ts';

/** Stage 1 (§3.2): the three objectives of a Q-Former on frozen image features. */
export async function stageOne(recipe: StageOneRecipe, options: TrainOptions): Promise<Task> {
  const { model, run } = recipe;
  const { frozen, qformer } = await startOf(model);
  const data = await ImageTextData.open(recipe, frozen, options);
  const { config, trained, files } = await qformer(data.records);
  const tokenizer = new Tokenizer(files);
  const initializerRange = 'pretrained' in model ? 0.02 : model.initializer_range;
  const steps = await StepsByLength.create(run, graphOf(recipe, { config, data, tokenizer }), {
    initial: ({ declared }) => initialValues(declared, trained, { seed: run.seed, initializerRange }),
  });

  return {
    data,
    optimiser: steps.optimiser,
    async gradients(step) {
      const batch = data.at(step);
      const tokens = tokenise(batch, tokenizer, recipe.data.max_txt_len);
      const scalars = await steps.gradients(step, tokens.inputIds.shape[1]!, {
        ...tokens,
        ...negativesOf(batch, recipe, step),
        imageEmbeds: batch.imageEmbeds,
      });
      return { scalars, images: batch.records.length, batch: batch.name };
    },
    write: (folder) =>
      writeModel(folder, {
        architecture: 'Blip2ForImageTextRetrieval',
        config,
        frozen,
        parameters: steps.optimiser.parameters,
        tokenizers: { root: files },
      }),
  };
}

type Output = 'itc' | 'itm' | 'itg' | 'itmAccuracy';

function graphOf(
  { run }: StageOneRecipe,
  { config, data, tokenizer }: { config: Blip2Config; data: ImageTextData; tokenizer: Tokenizer },
): GraphOf<Output> {
  return (tokens, dropout) => {
    const p = new Params();
    const { patches, width: imageWidth } = data;
    const inputs = stageOneInputs({ batch: run.batch_size_train, patches, imageWidth, tokens });
    const { loss, itc, itm, itg, itmAccuracy } = stageOneLosses(p, inputs, config, {
      decoderStart: tokenizer.require('bos'),
      labelSmoothing: run.label_smoothing,
      gatherGradient: run.gather_gradient,
      weights: run.loss_weights,
      dropout: run.dropout === 0 ? undefined : dropout.apply,
      ...(run.matching_pairs === undefined ? {} : { matchingPairs: run.matching_pairs }),
    });
    return { outputs: { loss, itc, itm, itg, itmAccuracy }, declared: p.declared, trains: () => true };
  };
}

function tokenise({ captions }: ImageTextBatch, tokenizer: Tokenizer, maxLength: number) {
  const { inputIds } = tokenizer.encodeBatch(captions, { maxLength });
  return tokenizer.encodeBatch(captions, { maxLength, padTo: padded(inputIds.shape[1]!, maxLength) });
}

/** Which pairs may be negatives in a step, how hard they are to be, and the noise that draws them. */
function negativesOf(
  { records, captions }: ImageTextBatch,
  { run }: StageOneRecipe,
  step: number,
): Record<string, Value> {
  const n = records.length;
  const square = (f: (i: number, j: number) => number) =>
    floats(
      [n, n],
      Float32Array.from({ length: n * n }, (_, k) => f(Math.floor(k / n), k % n)),
    );
  const noise = random(run.seed, 'negatives', step);
  return {
    // Neither the same image nor the same caption.
    negatives: square((i, j) => (records[i]!.imageId !== records[j]!.imageId && captions[i] !== captions[j] ? 1 : 0)),
    gumbelText: square(() => noise.gumbel()),
    gumbelImage: square(() => noise.gumbel()),
    hardness: floats([], [hardness(step, run.hard_negatives)]),
  };
}

/** 0 before the first step, 1 from the second, linear between: ITM does not learn where it starts with hard negatives. */
function hardness(step: number, [from, to]: readonly [number, number]): number {
  if (step >= to) return 1;
  return step < from ? 0 : (step - from) / (to - from);
}

interface Start {
  readonly frozen: ReadEncoder;
  /** The Q-Former that training begins with; the vocabulary of a new one may depend on the captions. */
  qformer(records: Records): Promise<Omit<StageOneModel, 'frozen'>>;
}

async function startOf(model: StageOneRecipe['model']): Promise<Start> {
  if ('pretrained' in model) {
    const known = await readStageOne(model.pretrained);
    return { frozen: known.frozen, qformer: async () => known };
  }
  const frozen = await readFrozenEncoder(model);
  return { frozen, qformer: (records) => fromBert(model, frozen, records) };
}

/** A new Q-Former: BERT's weights under the Q-Former's names, its tokenizer with [DEC], embeddings of the kept pieces. */
async function fromBert(
  model: NewQFormer,
  frozen: ReadEncoder,
  records: Records,
): Promise<Omit<StageOneModel, 'frozen'>> {
  const bert = await Checkpoint.open(model.bert);
  const bertConfig = await readJsonObject(join(model.bert, 'config.json'));
  const withDec = withSpecialToken(await readTokenizerFiles(model.bert), 'bos', '[DEC]');
  const trained = new Map(Object.entries(bertToQFormer(await bert.readAll())));
  const start = (files: TokenizerFiles) => ({
    files,
    trained,
    config: configOf(model, {
      bertConfig,
      vocabulary: new Tokenizer(files).vocabularySize,
      width: frozen.encoder.width,
    }),
  });
  if (!model.prune_vocabulary) return start(withDec);

  const captions: string[] = [];
  for (let i = 0; i < records.length; i++) captions.push(...records.record(i).captions.map((c) => blipCaption(c)));
  const { kept, files } = pruneWordPiece(withDec, captions);
  const words = trained.get('embeddings.word_embeddings.weight');
  if (words) trained.set('embeddings.word_embeddings.weight', takeRows(words, kept));
  return start(files);
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
  model: NewQFormer,
  { bertConfig: b, vocabulary, width }: { bertConfig: JsonObject; vocabulary: number; width: number },
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
      encoder_hidden_size: width,
      vocab_size: vocabulary,
    },
  });
}
