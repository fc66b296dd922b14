import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Blip2Config, parseBlip2Config } from '../blip2/index.ts';
import { ConfigError, type JsonObject, jsonObject, UsageError, type Value } from '../core/index.ts';
import { input } from '../graph/index.ts';
import { Checkpoint, readJsonObject, resolveModel } from '../hub/index.ts';
import { parseImageProcessor, readImageProcessorJson } from '../image/index.ts';
import { type ImageEncoder, imageEncoder, wordTable } from '../models/index.ts';
import { Params } from '../nn/index.ts';
import { weightOf } from '../runtime/index.ts';
import { readTokenizerFiles, type TokenizerFiles } from '../text/index.ts';
import type { EncoderWithWeights } from './image-features.ts';
import { type FrozenLanguageModel, languageModelOf } from './language-model.ts';
import { readModelPart } from './model-part.ts';
import type { EncoderKeys } from './recipe.ts';
import { trainableWeights } from './trainable-weights.ts';

/** What training starts from: model folders, and what of them is used how. */

/** An image encoder with the JSON it came from, to be written beside what was trained on it. */
export interface ReadEncoder extends EncoderWithWeights {
  readonly config: JsonObject;
  readonly preprocessor: JsonObject;
}

/** The size of an encoder's pictures, where it is not the folder's, and whether it trains. */
type PictureKeys = Pick<EncoderKeys, 'freeze_vit' | 'image_size'>;

/** How a model that goes on reads pictures, where it is not as before. */
type ReadingKeys = PictureKeys & { readonly image_feature_pooling?: number | undefined };

/** Reads an image encoder from a Hugging Face folder, or by its id; of a CLIP or a BLIP-2 its image encoder. */
export async function readEncoder(
  model: { image_encoder: string; do_fit: boolean; image_feature_pooling: number } & PictureKeys,
): Promise<ReadEncoder> {
  const folder = await resolveModel(model.image_encoder);
  const { json: preprocessor } = await readImageProcessorJson(folder);
  return encoderOf(
    {
      ...(await readModelPart(folder, { key: 'vision_config', root: parts[0] })),
      preprocessor: model.do_fit ? { ...preprocessor, do_fit: true } : preprocessor,
      pooling: model.image_feature_pooling,
    },
    model,
  );
}

/**
 * For pictures of another size a frozen encoder interpolates its positions; one that trains has its table resized. Weights
 * that the encoder does not have (SigLIP's pooling head) are left out.
 */
function encoderOf(
  {
    config: folders,
    preprocessor: given,
    state,
    pooling,
  }: Pick<ReadEncoder, 'config' | 'preprocessor' | 'state' | 'pooling'>,
  { freeze_vit, image_size: side }: PictureKeys,
): ReadEncoder {
  const config = side === undefined || freeze_vit ? folders : { ...folders, image_size: side };
  const preprocessor = withSize(given, side);
  const encoder = imageEncoder(config);
  const names = parametersOf(encoder);
  return {
    state: new Map([...state].filter(([name]) => names.has(weightOf(name)))),
    pooling,
    config,
    preprocessor,
    encoder,
    processor: parseImageProcessor(preprocessor),
  };
}

/** The names of an encoder's parameters. */
function parametersOf(encoder: ImageEncoder): ReadonlySet<string> {
  const p = new Params();
  encoder.encode(p, input('pixelValues', 'float32', [1, 3, encoder.imageSize, encoder.imageSize]));
  return new Set(p.declared.keys());
}

/** A preprocessor's JSON for pictures of another side. */
function withSize(preprocessor: JsonObject, side: number | undefined): JsonObject {
  if (side === undefined) return preprocessor;
  const square = { height: side, width: side };
  return { ...preprocessor, size: square, ...('crop_size' in preprocessor && { crop_size: square }) };
}

/** A Q-Former with all that it was trained with. */
export interface PretrainedModel {
  readonly config: Blip2Config;
  readonly images: ReadEncoder;
  /** The Q-Former and its heads: all but the image encoder and the language model, by their full names. */
  readonly trained: ReadonlyMap<string, Value>;
  /** The Q-Former's own tokenizer; what is published of stage 2 has none. */
  readonly files: TokenizerFiles | undefined;
  /** What stage 2 connects. */
  readonly language: FrozenLanguageModel | undefined;
}

const parts = ['vision_model.', 'language_model.'] as const;

/** Reads a model to go on from: a folder that a run wrote, or a BLIP-2 that transformers loads, perhaps by its id. */
export async function readPretrained(
  model: string,
  keys: ReadingKeys = { freeze_vit: true },
): Promise<PretrainedModel> {
  const folder = await resolveModel(model);
  const json = await readJsonObject(join(folder, 'config.json'));
  if (json.quantization_config !== undefined) {
    throw new UsageError(`${folder} is quantised; name the model that it was made from`);
  }
  // A weight that was found for the heads as they were says nothing of what they become.
  const { rerank_itc_weight: _, ...config } = parseBlip2Config(json);
  const checkpoint = await Checkpoint.open(folder);
  const rest = [...checkpoint.entries].filter(([name]) => !parts.some((part) => name.startsWith(part)));
  const trained = await trainableWeights(new Map(rest));
  const hasLanguage = trained.has('language_projection.weight');
  const own = hasLanguage ? join(folder, 'qformer_tokenizer') : folder;
  return {
    config,
    trained,
    images: encoderOf(
      {
        config: jsonObject(json.vision_config, `${folder}/config.json: vision_config`),
        preprocessor: (await readImageProcessorJson(folder)).json,
        state: checkpoint.below(parts[0]),
        pooling: keys.image_feature_pooling ?? config.image_feature_pooling,
      },
      keys,
    ),
    files: hasLanguage && !existsSync(own) ? undefined : await readTokenizerFiles(own),
    language: hasLanguage
      ? languageModelOf({
          config: jsonObject(json.text_config, `${folder}/config.json: text_config`),
          state: checkpoint.below(parts[1]),
          files: await readTokenizerFiles(folder),
        })
      : undefined,
  };
}

/** The same with the Q-Former's text side. Throws ConfigError where the model cannot read. */
export async function readStageOne(
  folder: string,
  keys?: ReadingKeys,
): Promise<PretrainedModel & { readonly files: TokenizerFiles }> {
  const { files, ...model } = await readPretrained(folder, keys);
  if (files && model.trained.has(wordTable)) return { ...model, files };
  throw new ConfigError(
    `${folder}: expected a model of stage 1, but its Q-Former has no ${wordTable} with a tokenizer`,
  );
}

/** The same with a language model. Throws ConfigError where there is none. */
export async function readStageTwo(
  folder: string,
  keys?: ReadingKeys,
): Promise<PretrainedModel & { readonly language: FrozenLanguageModel }> {
  const { language, ...model } = await readPretrained(folder, keys);
  if (language) return { ...model, language };
  throw new ConfigError(`${folder}: expected a model of stage 2, but there is no language model in it`);
}
