import { elements, type JsonObject, jsonObject } from '../core/index.ts';
import { type Checkpoint, readTensor, type TensorEntry, type TensorSource } from '../hub/index.ts';
import type { ImageProcessor } from '../image/index.ts';
import { scalesIn } from '../runtime/index.ts';
import { Tokenizer, type TokenizerFiles, withToken } from '../text/index.ts';
import type { ModelFiles } from './model-files.ts';
import { readWeight } from './read-weight.ts';

/** What transformers 4.57 takes from a BLIP-2 folder, and what it has no place for. */

type Architecture = 'Blip2ForImageTextRetrieval' | 'Blip2ForConditionalGeneration';

/** The names of its state dicts; a Q-Former that reads no text has no feed-forward for it. */
const places: Readonly<Record<Architecture, RegExp>> = {
  Blip2ForImageTextRetrieval:
    /^(query_tokens$|(vision_model|qformer|embeddings|vision_projection|text_projection|itm_head)\.)/,
  Blip2ForConditionalGeneration:
    /^(query_tokens$|(vision_model|language_projection|language_model)\.|qformer\.(?!encoder\.layer\.\d+\.(intermediate|output)\.))/,
};

export interface FolderParts {
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: readonly TensorSource[];
  readonly processor: Readonly<Record<string, unknown>>;
  readonly tokenizer: TokenizerFiles;
  /** Tensors of this model that have no place. */
  readonly dropped: readonly string[];
}

/** Why transformers cannot hold a model, in words; none where it can. */
export function obstacles({ json, processor }: Pick<Source, 'json' | 'processor'>): string[] {
  const { vision_config, image_feature_pooling: pooling = 1 } = json;
  const { model_type: vision, image_size: trained } = jsonObject(vision_config, 'config.json: vision_config');
  const { fit, resize, centerCrop, size } = processor;
  const found: readonly [boolean, string][] = [
    [!visionModels.includes(vision), `its image encoder is ${vision}, where transformers has the ViT of EVA alone`],
    [pooling !== 1, `it averages ${pooling} x ${pooling} patches before the Q-Former`],
    [size.width !== trained, `its pictures have ${size.width} pixels, its positions are of ${trained}`],
    [fit || centerCrop || !resize || 'shortestEdge' in resize, 'its pictures are not simply resized to a square'],
  ];
  return found.flatMap(([holds, words]) => (holds ? [words] : []));
}

const visionModels: readonly unknown[] = ['blip_2_vision_model', 'instructblip_vision_model'];

interface Source extends Pick<ModelFiles, 'config' | 'language' | 'checkpoint'> {
  readonly json: JsonObject;
  readonly processor: ImageProcessor;
  /** The tokenizer at the folder's root. */
  readonly files: TokenizerFiles;
}

/**
 * A model of ours as transformers writes its own: without the heads that it does not have (captions by the Q-Former;
 * beside a language model also retrieval), int8 weights as float32, and with the token <image>, which stands for the
 * queries in prompts.
 */
export function asTransformersFolder({ json, config, language, checkpoint, files }: Source): FolderParts {
  const architecture = language ? 'Blip2ForConditionalGeneration' : 'Blip2ForImageTextRetrieval';
  const tokenizer = withToken(files, '<image>');
  const image = new Tokenizer(tokenizer).require('image');
  const scales = scalesIn(checkpoint.entries);
  const weights = [...checkpoint.entries.values()].filter(({ name }) => !scales.has(name));
  const kept = weights.filter(({ name }) => places[architecture].test(name));
  const rows = language && Math.max(language.lm.vocabularySize, image + 1);
  return {
    config: {
      ...json,
      architectures: [architecture],
      image_token_index: image,
      qformer_config: { ...config.qformer_config, model_type: 'blip_2_qformer', use_qformer_text_input: !language },
      ...(rows && { text_config: { ...(json.text_config as object), vocab_size: rows } }),
    },
    tensors: kept.map((entry) => tensorOf(entry, checkpoint, rows)),
    processor: { processor_class: 'Blip2Processor', num_query_tokens: config.num_query_tokens },
    tokenizer,
    dropped: weights.filter((entry) => !kept.includes(entry)).map(({ name }) => name),
  };
}

/** The language model's tables of a row for each token. */
const vocabularyTable = /^language_model\.(.*\.)?(embed_tokens|shared|lm_head)\.weight$/;

function tensorOf(entry: TensorEntry, checkpoint: Checkpoint, rows = 0): TensorSource {
  const { name, dtype, shape } = entry;
  const grows = vocabularyTable.test(name) && shape[0]! < rows;
  if (dtype !== 'int8' && !grows) return { name, dtype, shape, data: async () => (await readTensor(entry)).data };
  const weight = () => readWeight(checkpoint, name);
  if (!grows) return { name, dtype: 'float32', shape, data: weight };
  const grown = [rows, ...shape.slice(1)];
  return { name, dtype: 'float32', shape: grown, data: async () => growRows(await weight(), shape, rows) };
}

/** New rows are the mean of the others: a token with such a row in its head is never the likeliest. */
function growRows(data: Float32Array, shape: readonly number[], rows: number): Float32Array {
  const known = shape[0]!;
  const width = elements(shape.slice(1));
  const grown = new Float32Array(rows * width);
  grown.set(data);
  for (let column = 0; column < width; column++) {
    let sum = 0;
    for (let row = 0; row < known; row++) sum += data[row * width + column]!;
    for (let row = known; row < rows; row++) grown[row * width + column] = sum / known;
  }
  return grown;
}
