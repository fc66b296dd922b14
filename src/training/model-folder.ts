import { join } from 'node:path';
import { type Blip2Config, parseBlip2Config } from '../blip2/index.ts';
import type { StoredTensor, Value } from '../core/index.ts';
import {
  Checkpoint,
  type JsonObject,
  jsonObject,
  readJsonObject,
  readTensor,
  streamSafetensors,
  writeJson,
  writeText,
} from '../hub/index.ts';
import { parseImageProcessor } from '../image/index.ts';
import { imageEncoder } from '../models/index.ts';
import { readTokenizerFiles, type TokenizerFiles } from '../text/index.ts';
import type { FrozenEncoder } from './image-features.ts';

/** A frozen encoder with the JSON it came from, to be written beside what was trained on it. */
export interface ReadEncoder extends FrozenEncoder {
  readonly config: JsonObject;
  readonly preprocessor: JsonObject;
}

/** Reads a frozen image encoder from a Hugging Face folder. */
export async function readFrozenEncoder(model: {
  image_encoder: string;
  do_fit: boolean;
  image_feature_pooling: number;
}): Promise<ReadEncoder> {
  const folder = model.image_encoder;
  const preprocessor = await readJsonObject(join(folder, 'preprocessor_config.json'));
  return frozenEncoder({
    config: await readJsonObject(join(folder, 'config.json')),
    preprocessor: model.do_fit ? { ...preprocessor, do_fit: true } : preprocessor,
    state: (await Checkpoint.open(folder)).entries,
    pooling: model.image_feature_pooling,
  });
}

const frozenEncoder = (read: Pick<ReadEncoder, 'config' | 'preprocessor' | 'state' | 'pooling'>): ReadEncoder => ({
  ...read,
  encoder: imageEncoder(read.config),
  processor: parseImageProcessor(read.preprocessor),
});

/** A Q-Former with all that it was trained with. */
export interface StageOneModel {
  readonly config: Blip2Config;
  readonly frozen: ReadEncoder;
  /** All but the image encoder, by their full names. */
  readonly trained: ReadonlyMap<string, Value>;
  readonly files: TokenizerFiles;
}

/** The folder that a stage-1 run wrote. */
export async function readStageOne(folder: string): Promise<StageOneModel> {
  const json = await readJsonObject(join(folder, 'config.json'));
  const config = parseBlip2Config(json);
  const checkpoint = await Checkpoint.open(folder);
  const state = new Map<string, StoredTensor>();
  const trained = new Map<string, Value>();
  for (const [name, entry] of checkpoint.entries) {
    if (name.startsWith('vision_model.')) state.set(name.slice('vision_model.'.length), entry);
    else trained.set(name, await checkpoint.read(name));
  }
  const frozen = frozenEncoder({
    config: jsonObject(json.vision_config, `${folder}/config.json: vision_config`),
    preprocessor: await readJsonObject(join(folder, 'preprocessor_config.json')),
    state,
    pooling: config.image_feature_pooling,
  });
  return { config, frozen, trained, files: await readTokenizerFiles(folder) };
}

export interface ModelParts {
  readonly architecture: 'Blip2ForImageTextRetrieval' | 'Blip2ForConditionalGeneration';
  readonly config: Blip2Config;
  readonly frozen: Pick<ReadEncoder, 'config' | 'preprocessor' | 'state' | 'pooling'>;
  readonly parameters: Readonly<Record<string, Value>>;
  /** Frozen weights besides the image encoder's, by their full names: a language model's. */
  readonly stored?: ReadonlyMap<string, StoredTensor>;
  readonly textConfig?: JsonObject;
  readonly tokenizers: { readonly root: TokenizerFiles; readonly qformer?: TokenizerFiles };
}

/** Writes a model as a Hugging Face folder: frozen weights as they were stored, trained ones in float32. */
export async function writeModel(folder: string, parts: ModelParts): Promise<void> {
  const { frozen, config } = parts;
  const stored = [
    ...[...frozen.state].map(([name, t]) => [`vision_model.${name}`, t] as const),
    ...(parts.stored ?? []),
  ];
  await streamSafetensors(join(folder, 'model.safetensors'), [
    ...stored.map(([name, t]) => ({
      name,
      dtype: t.dtype,
      shape: t.shape,
      data: async () => (await readTensor({ ...t, name })).data,
    })),
    ...Object.entries(parts.parameters).map(([name, { dtype, shape, data }]) => ({
      name,
      dtype,
      shape,
      data: () => data,
    })),
  ]);
  await writeJson(join(folder, 'config.json'), {
    architectures: [parts.architecture],
    model_type: 'blip-2',
    ...config,
    image_feature_pooling: frozen.pooling,
    vision_config: frozen.config,
    ...(parts.textConfig ? { text_config: parts.textConfig } : {}),
  });
  await writeJson(join(folder, 'preprocessor_config.json'), frozen.preprocessor);
  await writeTokenizer(folder, parts.tokenizers.root);
  if (parts.tokenizers.qformer) await writeTokenizer(join(folder, 'qformer_tokenizer'), parts.tokenizers.qformer);
}

async function writeTokenizer(folder: string, { tokenizer, config }: TokenizerFiles): Promise<void> {
  await writeText(join(folder, 'tokenizer.json'), `${JSON.stringify(tokenizer)}\n`);
  await writeJson(join(folder, 'tokenizer_config.json'), config);
}
