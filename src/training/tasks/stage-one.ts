import { join } from 'node:path';
import { z } from 'zod';
import { type Blip2Config, parseBlip2Config } from '../../blip2/index.ts';
import type { JsonObject } from '../../core/index.ts';
import type { Records } from '../../data/index.ts';
import { bertToQFormer, Checkpoint, readJsonObject, resolveModel } from '../../hub/index.ts';
import { wordTable } from '../../models/index.ts';
import {
  pruneWordPiece,
  readTokenizerFiles,
  Tokenizer,
  type TokenizerFiles,
  withSpecialToken,
} from '../../text/index.ts';
import { captionData } from '../captions.ts';
import {
  fromStageOne,
  type ObjectivesStart,
  objectivesRun,
  type QFormerStart,
  trainObjectives,
} from '../objectives-steps.ts';
import { type ReadEncoder, readEncoder, readStageOne } from '../pretrained.ts';
import { encoderKeys } from '../recipe.ts';
import { defineTask } from '../task.ts';
import { stageOneKeys, tableRows, textsOf, withPiecesOf } from '../vocabulary.ts';

/** A new Q-Former between an image encoder and nothing. */
const newQFormer = z.strictObject({
  /** The image encoder's checkpoint folder, and how the Q-Former reads its features. */
  image_encoder: z.string(),
  /** The data set's "fit" preprocessing, for pictures with alpha. */
  do_fit: z.boolean().default(false),
  /** Patches averaged in squares of so many. */
  image_feature_pooling: z.int().positive().default(1),
  ...encoderKeys({ frozen: true }),
  /** A BERT-style checkpoint with its tokenizer, a folder or a Hugging Face id: the Q-Former's start. */
  bert: z.string(),
  num_query_token: z.int().positive().default(32),
  num_hidden_layers: z.int().positive().optional(),
  cross_attention_freq: z.int().positive().default(2),
  embed_dim: z.int().positive().default(256),
  /** Standard deviation of new weights; 0.02 suits a width of 768. */
  initializer_range: z.number().positive().default(0.02),
  /**
   * Keep only the word pieces that the training captions use, and single characters. Other words are then read letter by
   * letter; `vocabulary`, in a run that goes on, gives them back.
   */
  prune_vocabulary: z.boolean().default(false),
});
type NewQFormer = z.infer<typeof newQFormer>;

/** The folder that a stage-1 run wrote: encoder, Q-Former, heads and vocabulary are taken from it. */
const pretrained = z.strictObject({
  ...stageOneKeys,
  /** As it was for the folder; less of it, and its queries read finer features. */
  image_feature_pooling: z.int().positive().optional(),
  ...encoderKeys({ frozen: true }),
});

const recipe = z.strictObject({
  task: z.literal('stage1'),
  model: z.union([pretrained, newQFormer]),
  data: captionData,
  run: objectivesRun,
});

/** Stage 1 (§3.2): the three objectives of a Q-Former on frozen image features. */
export const stageOne = defineTask(recipe, async (recipe, options) =>
  trainObjectives(recipe, await startOf(recipe.model), options),
);

async function startOf(model: z.output<typeof recipe>['model']): Promise<ObjectivesStart> {
  if ('pretrained' in model) {
    const known = await readStageOne(model.pretrained, model);
    return {
      images: known.images,
      qformer: (records) => withPiecesOf(model.vocabulary, known, records),
      ...fromStageOne,
      sharesTargets: false,
    };
  }
  const images = await readEncoder(model);
  return {
    images,
    qformer: (records) => fromBert(model, images, records),
    initializerRange: model.initializer_range,
    isNew: (name) => besideBert.test(name),
    sharesTargets: false,
  };
}

/** What neither an image encoder nor BERT has; BERT's captioning head is not in every checkpoint of it. */
const besideBert =
  /^(query_tokens$|temp$|cls\.|(vision_projection|text_projection|itm_head|vision_model\.ln_vision)\.)|\.crossattention\./;

/** A new Q-Former: BERT's weights under the Q-Former's names, its tokenizer with [DEC], embeddings of the kept pieces. */
async function fromBert(model: NewQFormer, images: ReadEncoder, records: Records): Promise<QFormerStart> {
  const folder = await resolveModel(model.bert);
  const bert = await Checkpoint.open(folder);
  const bertConfig = await readJsonObject(join(folder, 'config.json'));
  const withDec = withSpecialToken(await readTokenizerFiles(folder), 'bos', '[DEC]');
  const trained = new Map(Object.entries(bertToQFormer(await bert.readAll())));
  const start = (files: TokenizerFiles) => ({
    files,
    trained,
    config: configOf(model, {
      bertConfig,
      vocabulary: new Tokenizer(files).vocabularySize,
      width: images.encoder.width,
    }),
  });
  if (!model.prune_vocabulary) return start(withDec);

  const { kept, files } = pruneWordPiece(withDec, textsOf(records));
  const words = trained.get(wordTable);
  if (words) trained.set(wordTable, tableRows(words, kept));
  return start(files);
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
