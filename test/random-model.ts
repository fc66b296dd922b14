/** Small models with random weights, in the folders that training writes and `-m` takes. */
import { join } from 'node:path';
import { parseBlip2Config } from '../src/blip2/index.ts';
import { elements, floats, floatToHalf, halfToFloat, random, toFloat32, type Value, value } from '../src/core/index.ts';
import { Checkpoint, writeJson, writeSafetensors, writeText } from '../src/hub/index.ts';
import { parseImageProcessor } from '../src/image/index.ts';
import { imageEncoder, languageModel } from '../src/models/index.ts';
import { declareParameters } from '../src/pipelines/graphs.ts';
import { scaleOf } from '../src/runtime/index.ts';
import { bertFiles, Tokenizer, type TokenizerFiles, withSpecialToken } from '../src/text/index.ts';

export interface RandomModelOptions {
  /** A model of stage 2, with a small Llama, of so many channels (16 by default). */
  readonly language?: boolean;
  readonly languageWidth?: number;
  /** Keep the image encoder's matrices as int8 with scales, and the rest as float16; else float32 throughout. */
  readonly quantised?: boolean;
  /** Of ITC, which training leaves beside the weights; models of the hub have none, as this one by default. */
  readonly temperature?: number;
}

const words = 'a b c cat dog red blue apple on the left of'.split(' ');
const pieces = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', ...words];

/** Writes a model folder. The weights are a function of their names; quantised ones are those that their int8 stand for. */
export async function writeRandomModel(folder: string, options: RandomModelOptions = {}): Promise<void> {
  const { language = false, languageWidth = 16, quantised = false, temperature } = options;
  const tokenizer = withSpecialToken(withSpecialToken(bertFiles(pieces), 'bos', '[DEC]'), 'eos', '[SEP]');
  const vocabulary = new Tokenizer(tokenizer).vocabularySize;
  const json = configuration(vocabulary, language ? languageWidth : undefined);
  await writeJson(join(folder, 'config.json'), json);
  await writeJson(join(folder, 'preprocessor_config.json'), preprocessor);
  await writeTokenizer(folder, tokenizer);
  if (language) await writeTokenizer(join(folder, 'qformer_tokenizer'), tokenizer);
  const declared = declareParameters({
    config: parseBlip2Config(json),
    encoder: imageEncoder(json.vision_config),
    processor: parseImageProcessor(preprocessor),
    heads: { retrieval: true, writing: true },
    language: json.text_config && { lm: languageModel(json.text_config) },
  });
  const tensors = [...declared].flatMap(([name, t]): [string, Value][] => stored(name, t.shape.map(Number), quantised));
  if (temperature !== undefined) tensors.push(['temp', floats([], [temperature])]);
  await writeSafetensors(join(folder, 'model.safetensors'), tensors);
}

/** A language model of 256 channels, one of which is large where the first layer's attention reads it, and its weights small. */
export async function writeWideModel(path: string): Promise<void> {
  await writeRandomModel(path, { language: true, languageWidth: 256 });
  const file = join(path, 'model.safetensors');
  const tensors = await (await Checkpoint.open(file)).readAll();
  const layer = 'language_model.model.layers.0';
  toFloat32(tensors[`${layer}.input_layernorm.weight`]!)[3]! *= 30;
  for (const projection of ['q', 'k', 'v']) {
    const weight = toFloat32(tensors[`${layer}.self_attn.${projection}_proj.weight`]!);
    for (let i = 3; i < weight.length; i += 256) weight[i]! /= 30;
  }
  await writeSafetensors(file, tensors);
}

const preprocessor = {
  image_processor_type: 'BitImageProcessor',
  do_fit: true,
  size: { height: 28, width: 28 },
  resample: 3,
  do_center_crop: false,
  image_mean: [0.5, 0.5, 0.5],
  image_std: [0.5, 0.5, 0.5],
};

const configuration = (vocabulary: number, language: number | undefined) => ({
  architectures: [language ? 'Blip2ForConditionalGeneration' : 'Blip2ForImageTextRetrieval'],
  model_type: 'blip-2',
  num_query_tokens: 4,
  image_text_hidden_size: 8,
  image_feature_pooling: 2,
  qformer_config: {
    hidden_size: 16,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    intermediate_size: 24,
    max_position_embeddings: 40,
    encoder_hidden_size: 24,
    vocab_size: vocabulary,
  },
  vision_config: {
    model_type: 'dinov2',
    hidden_size: 24,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    image_size: 28,
    patch_size: 7,
  },
  ...(language && {
    text_config: {
      model_type: 'llama',
      hidden_size: language,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      intermediate_size: 24,
      max_position_embeddings: 64,
      vocab_size: vocabulary,
      tie_word_embeddings: true,
      eos_token_id: 3,
    },
  }),
});

async function writeTokenizer(folder: string, { tokenizer, config }: TokenizerFiles): Promise<void> {
  await writeText(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
  await writeJson(join(folder, 'tokenizer_config.json'), config);
}

/** A matrix of the image encoder is drawn as int8 and scales, so that both ways of storing it are the same numbers. */
function stored(name: string, shape: number[], quantised: boolean): [string, Value][] {
  const draws = random(1, name);
  const size = elements(shape);
  if (!name.startsWith('vision_model.') || shape.length < 2) {
    const gain = /(layernorm|LayerNorm|norm\d?|lambda1)(\.weight)?$/.test(name) ? 1 : 0;
    const half = floatToHalf(Float32Array.from({ length: size }, () => gain + 0.3 * draws.normal()));
    return [[name, quantised ? value('float16', shape, half) : floats(shape, halfToFloat(half))]];
  }
  const levels = Int8Array.from({ length: size }, () => draws.below(255) - 127);
  const rows = shape[0]!;
  const scales = floatToHalf(Float32Array.from({ length: rows }, () => draws.between(0.001, 0.004)));
  if (quantised)
    return [
      [name, value('int8', shape, levels)],
      [scaleOf(name), value('float16', [rows], scales)],
    ];
  const scale = halfToFloat(scales);
  return [
    [
      name,
      floats(
        shape,
        Float32Array.from(levels, (x, i) => x * scale[Math.floor(i / (size / rows))]!),
      ),
    ],
  ];
}

/** The text side of a Q-Former under BERT's names. */
export function bertOf(tensors: Readonly<Record<string, Value>>): [string, Value][] {
  const text = Object.entries(tensors).filter(([name]) =>
    /^(embeddings|qformer)\.(?!.*(crossattention|_query\.))/.test(name),
  );
  return text.map(([name, v]) => [
    name
      .replace('qformer.layernorm.', 'embeddings.LayerNorm.')
      .replace(/^qformer\./, '')
      .replace('attention.attention.', 'attention.self.'),
    v,
  ]);
}
