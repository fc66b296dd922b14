import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseBlip2Config } from '../src/blip2/index.ts';
import { elements, random } from '../src/core/index.ts';
import { streamSafetensors, type TensorSource, writeJson, writeText } from '../src/hub/index.ts';
import { parseImageProcessor } from '../src/image/index.ts';
import { imageEncoder, languageModel } from '../src/models/index.ts';
import { declareParameters } from '../src/pipelines/graphs.ts';
import { bertFiles, withSpecialToken } from '../src/text/index.ts';

/** A checkpoint's configuration, as transformers writes it, under the name that its folder gets. */
interface Size {
  readonly folder: string;
  readonly config: typeof opt27b;
}

const opt27b = {
  architectures: ['Blip2ForConditionalGeneration'],
  model_type: 'blip-2',
  num_query_tokens: 32,
  image_token_index: 50_265,
  qformer_config: { model_type: 'blip_2_qformer' },
  vision_config: { model_type: 'blip_2_vision_model', image_size: 224 },
  text_config: {
    model_type: 'opt',
    hidden_size: 2560,
    word_embed_proj_dim: 2560,
    ffn_dim: 10_240,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    vocab_size: 50_304,
    max_position_embeddings: 2048,
    do_layer_norm_before: true,
  },
};

/** Everything of one width, with heads of 64 and feed-forward layers four times as wide. */
const small = ({ width, layers, image, words }: { width: number; layers: number; image: number; words: number }) => {
  const transformer = { hidden_size: width, num_hidden_layers: layers, num_attention_heads: width / 64 };
  const config = {
    ...opt27b,
    image_token_index: words - 1,
    qformer_config: {
      ...opt27b.qformer_config,
      ...transformer,
      intermediate_size: 4 * width,
      encoder_hidden_size: width,
    },
    vision_config: { ...opt27b.vision_config, ...transformer, intermediate_size: 4 * width, image_size: image },
    text_config: {
      ...opt27b.text_config,
      ...transformer,
      word_embed_proj_dim: width,
      ffn_dim: 4 * width,
      vocab_size: words,
    },
  };
  return config;
};

/** What is measured: the paper's model, one that takes seconds, and one that takes next to nothing. */
export const sizes = {
  opt27b: { folder: 'blip2-opt-2.7b', config: opt27b },
  mid: { folder: 'mid', config: small({ width: 512, layers: 8, image: 224, words: 50_304 }) },
  tiny: { folder: 'tiny', config: small({ width: 64, layers: 2, image: 56, words: 64 }) },
} satisfies Record<string, Size>;

const preprocessor = ({ config }: Size) => ({
  image_processor_type: 'BlipImageProcessor',
  do_resize: true,
  do_rescale: true,
  do_normalize: true,
  do_convert_rgb: true,
  size: { height: config.vision_config.image_size, width: config.vision_config.image_size },
  resample: 3,
  rescale_factor: 1 / 255,
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_std: [0.26862954, 0.26130258, 0.27577711],
});

const shardBytes = 5e9;

/**
 * A folder with a model of this size and random weights (15 GB of float32 in shards for blip2-opt-2.7b's), written on
 * first use. Speed and memory do not depend on what the weights are. Its tokenizer has a few words: what a benchmark
 * prompts with.
 */
export async function randomCheckpoint(size: Size = sizes.opt27b): Promise<string> {
  const { config } = size;
  const folder = join(import.meta.dirname, '..', '.cache', 'bench-models', size.folder);
  if (existsSync(join(folder, 'config.json'))) return folder; // written last
  process.stderr.write(`writing random weights to ${folder} …\n`);
  const words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'photo', 'of'];
  const files = withSpecialToken(withSpecialToken(bertFiles(words), 'bos', '[DEC]'), 'eos', '[SEP]');
  const declared = declareParameters({
    config: parseBlip2Config(config),
    encoder: imageEncoder(config.vision_config),
    processor: parseImageProcessor(preprocessor(size)),
    heads: { retrieval: false, writing: false },
    language: { lm: languageModel(config.text_config) },
  });
  await writeShards(
    folder,
    [...declared].map(([name, t]) => [name, t.shape.map(Number)] as const),
  );
  await writeJson(join(folder, 'preprocessor_config.json'), preprocessor(size));
  for (const place of [folder, join(folder, 'qformer_tokenizer')]) {
    await writeText(join(place, 'tokenizer.json'), JSON.stringify(files.tokenizer));
    await writeJson(join(place, 'tokenizer_config.json'), files.config);
  }
  await writeJson(join(folder, 'config.json'), config);
  return folder;
}

async function writeShards(folder: string, tensors: readonly (readonly [string, number[]])[]): Promise<void> {
  const shards: TensorSource[][] = [[]];
  let bytes = 0;
  for (const [name, shape] of tensors) {
    const size = elements(shape);
    if (bytes > 0 && bytes + 4 * size > shardBytes) {
      shards.push([]);
      bytes = 0;
    }
    bytes += 4 * size;
    shards.at(-1)!.push({ name, dtype: 'float32', shape, data: () => drawWeights(name, size) });
  }
  const weightMap: Record<string, string> = {};
  for (const [i, shard] of shards.entries()) {
    const file = `model-${String(i + 1).padStart(5, '0')}-of-${String(shards.length).padStart(5, '0')}.safetensors`;
    await streamSafetensors(join(folder, file), shard, { format: 'pt' });
    for (const { name } of shard) weightMap[name] = file;
  }
  const total = tensors.reduce((sum, [, shape]) => sum + 4 * elements(shape), 0);
  await writeJson(join(folder, 'model.safetensors.index.json'), {
    metadata: { total_size: total },
    weight_map: weightMap,
  });
}

/**
 * Normal with deviation 0.02, norms near 1. One block of draws, repeated from another place for every tensor: 3.7 billion
 * of them would take minutes, and ONNX Runtime keeps matrices that are equal only once.
 */
function drawWeights(name: string, size: number): Float32Array {
  const norm = /norm\d?\.weight$/i.test(name);
  const first = random(0, name).below(block.length);
  const weights = new Float32Array(size);
  for (let at = -first; at < size; at += block.length) {
    const part = block.subarray(Math.max(0, -at), Math.min(block.length, size - at));
    weights.set(part, Math.max(0, at));
  }
  return norm ? weights.map((x) => 1 + x) : weights;
}

const draws = random(0, 'random checkpoint');
const block = Float32Array.from({ length: 1_000_003 }, () => 0.02 * draws.normal());
