import { join } from 'node:path';
import type { Blip2Config } from '../blip2/index.ts';
import type { JsonObject, StoredTensor, Value } from '../core/index.ts';
import { readTensor, streamSafetensors, writeJson, writeText } from '../hub/index.ts';
import { weightOf } from '../runtime/index.ts';
import type { TokenizerFiles } from '../text/index.ts';
import type { ReadEncoder } from './pretrained.ts';

/** The classes of transformers whose names and files a folder has, and the `model_type` of each. */
const modelTypes = {
  Blip2ForImageTextRetrieval: 'blip-2',
  Blip2ForConditionalGeneration: 'blip-2',
  InstructBlipForConditionalGeneration: 'instructblip',
} as const;

export interface ModelParts {
  readonly architecture: keyof typeof modelTypes;
  readonly config: Blip2Config;
  readonly images: Pick<ReadEncoder, 'config' | 'preprocessor' | 'state' | 'pooling'>;
  /** What was trained, by its full names: perhaps the image encoder too, whose `images.state` is then left out. */
  readonly parameters: Readonly<Record<string, Value>>;
  /** Frozen weights besides the image encoder's, by their full names: a language model's. */
  readonly stored?: ReadonlyMap<string, StoredTensor>;
  readonly textConfig?: JsonObject;
  readonly tokenizers: { readonly root: TokenizerFiles; readonly qformer?: TokenizerFiles | undefined };
}

/** Writes a model as a Hugging Face folder: frozen weights as they were stored, trained ones in float32. */
export async function writeModel(folder: string, parts: ModelParts): Promise<void> {
  const { images, config, parameters } = parts;
  // int8 weights go with their scales.
  const isTrained = (name: string) => weightOf(name) in parameters;
  const stored = [
    ...[...images.state].map(([name, t]) => [`vision_model.${name}`, t] as const),
    ...(parts.stored ?? []),
  ].filter(([name]) => !isTrained(name));
  await streamSafetensors(join(folder, 'model.safetensors'), [
    ...stored.map(([name, t]) => ({
      name,
      dtype: t.dtype,
      shape: t.shape,
      data: async () => (await readTensor({ ...t, name })).data,
    })),
    ...Object.entries(parameters).map(([name, { dtype, shape, data }]) => ({
      name,
      dtype,
      shape,
      data: () => data,
    })),
  ]);
  await writeJson(join(folder, 'config.json'), {
    architectures: [parts.architecture],
    model_type: modelTypes[parts.architecture],
    ...config,
    image_feature_pooling: images.pooling,
    vision_config: images.config,
    ...(parts.textConfig ? { text_config: parts.textConfig } : {}),
  });
  await writeJson(join(folder, 'preprocessor_config.json'), images.preprocessor);
  await writeTokenizer(folder, parts.tokenizers.root);
  if (parts.tokenizers.qformer) await writeTokenizer(join(folder, 'qformer_tokenizer'), parts.tokenizers.qformer);
}

async function writeTokenizer(folder: string, { tokenizer, config }: TokenizerFiles): Promise<void> {
  await writeText(join(folder, 'tokenizer.json'), `${JSON.stringify(tokenizer)}\n`);
  await writeJson(join(folder, 'tokenizer_config.json'), config);
}
