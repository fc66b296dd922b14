import { join } from 'node:path';
import type { Blip2Config } from '../blip2/index.ts';
import type { StoredTensor, Value } from '../core/index.ts';
import {
  Checkpoint,
  type JsonObject,
  readJsonObject,
  readTensor,
  streamSafetensors,
  writeJson,
  writeText,
} from '../hub/index.ts';
import { parseImageProcessor } from '../image/index.ts';
import { imageEncoder } from '../models/index.ts';
import type { TokenizerFiles } from '../text/index.ts';
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
  const json = (file: string) => readJsonObject(join(model.image_encoder, file));
  const config = await json('config.json');
  const preprocessor = { ...(await json('preprocessor_config.json')), ...(model.do_fit ? { do_fit: true } : {}) };
  return {
    encoder: imageEncoder(config),
    processor: parseImageProcessor(preprocessor),
    state: (await Checkpoint.open(model.image_encoder)).entries,
    pooling: model.image_feature_pooling,
    config,
    preprocessor,
  };
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
