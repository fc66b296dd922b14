import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Blip2Config, parseBlip2Config } from '../blip2/index.ts';
import { ConfigError, type JsonObject, jsonObject } from '../core/index.ts';
import { Checkpoint, readJsonObject } from '../hub/index.ts';
import { type ImageProcessor, readImageProcessor } from '../image/index.ts';
import {
  type ImageEncoder,
  imageEncoder,
  type LanguageModel,
  languageModel,
  wordBias,
  wordTable,
} from '../models/index.ts';
import { checkVocabulary, type LanguageTokens, languageTokens, readTokenizer, type Tokenizer } from '../text/index.ts';

/** A language model that stage 2 connects, with what it is written to and read with. */
export interface ConnectedLanguageModel extends LanguageTokens {
  readonly lm: LanguageModel;
  readonly modelType: string;
  readonly tokenizer: Tokenizer;
}

/** A model folder in Hugging Face's layout, read but for its weights, which stay where they are. */
export interface ModelFiles {
  readonly folder: string;
  readonly config: Blip2Config;
  readonly encoder: ImageEncoder;
  readonly processor: ImageProcessor;
  readonly checkpoint: Checkpoint;
  /** The Q-Former's own tokenizer, of models that read text with it. */
  readonly tokenizer: Tokenizer | undefined;
  /** The projections of ITC and the head of ITM, and the head of ITG: what is left of stage 1. */
  readonly heads: { readonly retrieval: boolean; readonly writing: boolean };
  /** The queries read the prompt beside the image (InstructBLIP). */
  readonly instructed: boolean;
  readonly language: ConnectedLanguageModel | undefined;
}

/** What `architectures` in config.json may name, and the tensor that is then there. */
const architectures: Readonly<Record<string, string>> = {
  Blip2ForImageTextRetrieval: 'itm_head.weight',
  Blip2ForConditionalGeneration: 'language_projection.weight',
  InstructBlipForConditionalGeneration: 'language_projection.weight',
};

/**
 * Opens a model folder. Throws ConfigError naming the file and the field, CheckpointError where weights are damaged or
 * the tokenizer does not fit the embedding.
 */
export async function openModel(folder: string): Promise<ModelFiles> {
  const json = await readJsonObject(join(folder, 'config.json'));
  const config = parseBlip2Config(json);
  const checkpoint = await Checkpoint.open(folder);
  checkpoint.entry(architectures[architectureOf(json, folder)]!);
  const has = (name: string) => checkpoint.entries.has(name);
  const heads = { retrieval: has('itm_head.weight'), writing: has(wordBias) };
  const instructed = has(`qformer.${wordTable}`);
  const language = has('language_projection.weight') ? await openLanguageModel(folder, json) : undefined;
  return {
    folder,
    config,
    encoder: imageEncoder(jsonObject(json.vision_config, `${folder}/config.json: vision_config`)),
    processor: await readImageProcessor(folder),
    checkpoint,
    tokenizer:
      heads.retrieval || heads.writing || instructed
        ? await openTokenizer(folder, config, { language, instructed })
        : undefined,
    heads,
    instructed,
    language,
  };
}

function architectureOf({ architectures: found }: JsonObject, folder: string): string {
  const known = Object.keys(architectures);
  const name = Array.isArray(found) ? found.find((each) => known.includes(each)) : undefined;
  if (typeof name === 'string') return name;
  throw new ConfigError(
    `${folder}/config.json: architectures: expected ${known.join(' or ')}, found ${JSON.stringify(found)}`,
  );
}

async function openLanguageModel(folder: string, json: JsonObject): Promise<ConnectedLanguageModel> {
  const textConfig = jsonObject(json.text_config, `${folder}/config.json: text_config`);
  const lm = languageModel(textConfig);
  const tokenizer = await readTokenizer(folder);
  checkVocabulary(tokenizer, "the language model's embedding", lm.vocabularySize);
  return { lm, modelType: String(textConfig.model_type), tokenizer, ...languageTokens(textConfig, tokenizer) };
}

/** At the root of a stage-1 model; beside the language model's, as InstructBLIP has it, in stage 2. */
async function openTokenizer(
  folder: string,
  { qformer_config }: Blip2Config,
  { language, instructed }: Pick<ModelFiles, 'language' | 'instructed'>,
): Promise<Tokenizer | undefined> {
  const own = language ? join(folder, 'qformer_tokenizer') : folder;
  if (language && !instructed && !(await isFolder(own))) return undefined;
  const tokenizer = await readTokenizer(own);
  const withoutRow = tokenizer.special.image === undefined ? 0 : 1; // the queries stand where <image> does
  const table = `${instructed ? 'qformer.' : ''}${wordTable}`;
  checkVocabulary(tokenizer, table, qformer_config.vocab_size + withoutRow);
  return tokenizer;
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
