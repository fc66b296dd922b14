import { join } from 'node:path';
import { type Blip2Config, stageTwoInputs, stageTwoLoss, trainsInStageTwo } from '../blip2/index.ts';
import { CheckpointError, int64s, type StoredTensor, type Value } from '../core/index.ts';
import { Checkpoint, type JsonObject, readJsonObject } from '../hub/index.ts';
import { type LanguageModel, languageModel } from '../models/index.ts';
import { Params } from '../nn/index.ts';
import { readTokenizerFiles, Tokenizer, type TokenizerFiles } from '../text/index.ts';
import { ImageTextData } from './image-text-data.ts';
import { initialValues } from './initial-values.ts';
import { readStageOne, writeModel } from './model-folder.ts';
import type { StageTwoRecipe } from './recipe.ts';
import { type GraphOf, padded, StepsByLength } from './steps-by-length.ts';
import type { Task, TrainOptions } from './task.ts';

/** Stage 2 (§3.3): a Q-Former from stage 1 and one fully connected layer learn to prompt a frozen language model. */
export async function stageTwo(recipe: StageTwoRecipe, options: TrainOptions): Promise<Task> {
  const { model, run } = recipe;
  const one = await readStageOne(model.stage1);
  const language = await readLanguageModel(model.language_model);
  const data = await ImageTextData.open(recipe, one.frozen, options);
  const graph = graphOf(recipe, { config: one.config, data, lm: language.lm });
  const given = model.from_scratch ? new Map<string, Value>() : one.trained;
  const steps = await StepsByLength.create(run, graph, {
    initial: ({ declared }) => initialValues(trained(declared), given, { seed: run.seed, initializerRange: 0.02 }),
    frozen: (name) => language.stored.get(name),
  });

  return {
    data,
    optimiser: steps.optimiser,
    async gradients(step) {
      const { captions, imageEmbeds, records, name } = data.at(step);
      const text = language.tokenise(captions, { prompt: model.prompt, maxLength: recipe.data.max_txt_len });
      const scalars = await steps.gradients(step, text.inputIds.shape[1]!, { ...text, imageEmbeds });
      return { scalars, images: records.length, batch: name };
    },
    // What stage 1 trained and stage 2 does not use (heads, text branch) goes along: the model still matches and embeds.
    write: (folder) =>
      writeModel(folder, {
        architecture: 'Blip2ForConditionalGeneration',
        config: one.config,
        frozen: one.frozen,
        parameters: { ...Object.fromEntries(one.trained), ...steps.optimiser.parameters },
        stored: language.stored,
        textConfig: language.config,
        tokenizers: { root: language.files, qformer: one.files },
      }),
  };
}

const trained = <T>(declared: ReadonlyMap<string, T>): Map<string, T> =>
  new Map([...declared].filter(([name]) => trainsInStageTwo(name)));

function graphOf(
  { run }: StageTwoRecipe,
  { config, data, lm }: { config: Blip2Config; data: ImageTextData; lm: LanguageModel },
): GraphOf<'loss'> {
  return (tokens, dropout) => {
    const p = new Params();
    const { patches, width: imageWidth } = data;
    const inputs = stageTwoInputs({ batch: run.batch_size_train, patches, imageWidth, tokens });
    const loss = stageTwoLoss(p, inputs, {
      config,
      languageModel: lm,
      dropout: run.dropout === 0 ? undefined : dropout.apply,
    });
    return { outputs: { loss }, declared: p.declared, trains: trainsInStageTwo };
  };
}

interface FrozenLanguageModel {
  readonly lm: LanguageModel;
  readonly config: JsonObject;
  /** Its state dict under the names that it has in a BLIP-2 model. */
  readonly stored: ReadonlyMap<string, StoredTensor>;
  readonly files: TokenizerFiles;
  tokenise(
    captions: readonly string[],
    o: { prompt: string; maxLength: number },
  ): { inputIds: Value; attentionMask: Value; labels: Value };
}

/** A frozen decoder from a Hugging Face folder. */
async function readLanguageModel(folder: string): Promise<FrozenLanguageModel> {
  const config = await readJsonObject(join(folder, 'config.json'));
  const lm = languageModel(config);
  if (lm.kind !== 'decoder') {
    throw new CheckpointError(
      `${folder}: stage 2 trains in front of decoders so far, got ${String(config.model_type)}`,
    );
  }
  const files = await readTokenizerFiles(folder);
  const tokenizer = new Tokenizer(files);
  const { entries } = await Checkpoint.open(folder);
  return {
    lm,
    config,
    stored: new Map([...entries].map(([name, entry]) => [`language_model.${name}`, entry])),
    files,
    tokenise: (captions, o) => tokenise(captions, tokenizer, o),
  };
}

/**
 * [bos] prompt caption [eos]: loss on the caption and the end alone, so that the model learns to stop. Padding is on the
 * right, after everything that carries loss.
 */
function tokenise(
  captions: readonly string[],
  tokenizer: Tokenizer,
  { prompt, maxLength }: { prompt: string; maxLength: number },
): { inputIds: Value; attentionMask: Value; labels: Value } {
  const plain = { addSpecialTokens: false };
  const start = [tokenizer.require('bos'), ...(prompt ? tokenizer.encode(prompt, plain) : [])];
  const gap = prompt && !prompt.endsWith(' ') ? ' ' : '';
  const rows = captions.map((caption) => {
    const ids = tokenizer.encode(`${gap}${caption}`, plain).slice(0, maxLength - start.length - 1);
    return { ids: [...start, ...ids, tokenizer.require('eos')] };
  });
  const length = padded(Math.max(...rows.map(({ ids }) => ids.length)), maxLength);
  const fill = (f: (id: number, i: number) => number, pad: number) =>
    int64s(
      [rows.length, length],
      rows.flatMap(({ ids }) => [...ids.map(f), ...Array<number>(length - ids.length).fill(pad)]),
    );
  return {
    inputIds: fill((id) => id, tokenizer.special.pad ?? tokenizer.require('eos')),
    attentionMask: fill(() => 1, 0),
    labels: fill((id, i) => (i < start.length ? -100 : id), -100),
  };
}
