import type { Dim, DType } from '../core/index.ts';
import { expand, fixed, input, reshape, type Tensor, unsqueeze } from '../graph/index.ts';
import { imageMemory, type LanguageModel } from '../models/index.ts';
import { type Dropout, linear, type Params } from '../nn/index.ts';
import type { Blip2Config } from './config.ts';
import { languageModellingLoss } from './objectives/language-modelling.ts';
import { readConditioned, readImage, type Text } from './passes.ts';

/**
 * A training batch of stage 2: image features and the tokens that follow the soft prompts. An image may have several
 * texts, of which there are R = n · B then: those of the first image come first.
 */
export interface StageTwoBatch {
  /** [B, P, Dv] */
  readonly imageEmbeds: Tensor;
  /** int64 [R, T] */
  readonly inputIds: Tensor;
  readonly attentionMask: Tensor;
  /** int64, −100 = no loss: [R, T], or [R, U] for an encoder-decoder. */
  readonly labels: Tensor;
  /** [R]: how much each text counts in the loss. Default: the same. */
  readonly weights?: Tensor | undefined;
  /** What the queries read beside the image: an instruction or a question (InstructBLIP; VQA fine-tuning). */
  readonly question?: Text | undefined;
}

/** The inputs of a stage-2 graph, by name. */
export function stageTwoInputs(d: {
  batch: number;
  patches: number;
  imageWidth: number;
  tokens: number;
  labels?: number;
  dtype?: DType;
}): Omit<StageTwoBatch, 'question' | 'weights'> {
  const ids = (name: string, length: number) => input(name, 'int64', [d.batch, length]);
  return {
    imageEmbeds: input('imageEmbeds', d.dtype ?? 'float32', [d.batch, d.patches, d.imageWidth]),
    inputIds: ids('inputIds', d.tokens),
    attentionMask: ids('attentionMask', d.tokens),
    labels: ids('labels', d.labels ?? d.tokens),
  };
}

/**
 * Stage 2 (§3.3): the queries, through one fully connected layer, are soft visual prompts before the text of a frozen
 * language model, whose own loss trains the Q-Former and the layer.
 */
export function stageTwoLoss(
  p: Params,
  batch: StageTwoBatch,
  {
    config,
    languageModel,
    dropout,
  }: { config: Blip2Config; languageModel: LanguageModel; dropout?: Dropout | undefined },
): Tensor {
  const image = imageMemory(p.at('qformer'), batch.imageEmbeds, { config: config.qformer_config, dropout });
  const { queries } = batch.question
    ? readConditioned(p, { image, ...batch.question }, config, dropout)
    : readImage(p, image, config, dropout);
  const prompts = repeatRows(linear(p.at('language_projection'), queries, languageModel.width), batch.labels.shape[0]!);
  return languageModellingLoss(p.at('language_model'), languageModel, { ...batch, prompts });
}

/** x [B, Q, D] with each of its rows as often as `rows` = n · B has it: [n · B, Q, D]. */
function repeatRows(x: Tensor, rows: Dim): Tensor {
  const [batch, queries, width] = x.shape as [Dim, Dim, Dim];
  if (rows === batch) return x;
  const n = fixed(rows, 'the texts of a training graph') / fixed(batch, 'the batch of a training graph');
  const repeated = expand(unsqueeze(x, { axis: 1 }), { shape: [batch, n, queries, width] });
  return reshape(repeated, { shape: [rows, queries, width] });
}

/** What stage 2 trains: everything but the image encoder and the language model. ln_vision trains where it is in the graph. */
export const trainsInStageTwo = (name: string): boolean =>
  !name.startsWith('language_model.') && !/^vision_model\.(?!post_layernorm\.|ln_vision\.)/.test(name);

/** What trains with the image encoder (§4.2): all but the language model, and a mask token that only pre-training reads. */
export const trainsWithEncoder = (name: string): boolean =>
  !name.startsWith('language_model.') && !name.endsWith('.mask_token');
