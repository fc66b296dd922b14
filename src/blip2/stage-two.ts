import type { DType } from '../core/index.ts';
import { input, type Tensor } from '../graph/index.ts';
import { imageMemory, type LanguageModel } from '../models/index.ts';
import { type Dropout, linear, type Params } from '../nn/index.ts';
import type { Blip2Config } from './config.ts';
import { languageModellingLoss } from './objectives/language-modelling.ts';
import { readConditioned, readImage, type Text } from './passes.ts';

/** A training batch of stage 2: frozen image features and the tokens that follow the soft prompts. */
export interface StageTwoBatch {
  /** [B, P, Dv] */
  readonly imageEmbeds: Tensor;
  /** int64 [B, T] */
  readonly inputIds: Tensor;
  readonly attentionMask: Tensor;
  /** int64, −100 = no loss: [B, T], or [B, U] for an encoder-decoder. */
  readonly labels: Tensor;
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
}): Omit<StageTwoBatch, 'question'> {
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
  const queries = batch.question
    ? readConditioned(p, { image, ...batch.question }, config, dropout)
    : readImage(p, image, config, dropout).queries;
  const prompts = linear(p.at('language_projection'), queries, languageModel.width);
  return languageModellingLoss(p.at('language_model'), languageModel, { ...batch, prompts });
}

/** What stage 2 trains: everything but the image encoder and the language model. ln_vision trains where it is in the graph. */
export const trainsInStageTwo = (name: string): boolean =>
  !name.startsWith('language_model.') && !/^vision_model\.(?!post_layernorm\.|ln_vision\.)/.test(name);
