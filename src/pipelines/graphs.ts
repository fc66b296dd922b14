import {
  captionWriter,
  matchLogitsByQuery,
  projectImage,
  projectTokens,
  type QueryPass,
  readConditioned,
  readImage,
  readPair,
  readText,
} from '../blip2/index.ts';
import { cacheOutputs } from '../generation/index.ts';
import { concat, input, reduceMean, type Tensor, unsqueeze } from '../graph/index.ts';
import { gatherMemory, imageMemory, type LanguageModel, poolPatches } from '../models/index.ts';
import { linear, Params } from '../nn/index.ts';
import type { ConnectedLanguageModel, ModelFiles } from './model-files.ts';

/** The graphs that a model is used by. Inputs and outputs have the names that `blip2 trace` and LAVIS give them. */

/** What the graphs depend on. */
export type Parts = Pick<ModelFiles, 'config' | 'encoder' | 'heads'> &
  Partial<Pick<ModelFiles, 'instructed'>> & { readonly language: Pick<ConnectedLanguageModel, 'lm'> | undefined };

export type Graph<O extends string = string> = Readonly<Record<O, Tensor>>;

/** pixel_values [batch, 3, H, W] -> the encoder's output, and what the Q-Former reads of it: [batch, P, Dv]. */
export function visionGraph(
  p: Params,
  { encoder, config }: Parts,
  { height, width }: { height: number; width: number },
): Graph<'last_hidden_state' | 'image_embeds'> {
  const pixelValues = input('pixel_values', 'float32', ['batch', 3, height, width]);
  const states = encoder.encode(p.at('vision_model'), pixelValues);
  const { image_feature_pooling: factor } = config;
  const { patchSize, prefixTokens } = encoder;
  const grid = [Math.floor(height / patchSize), Math.floor(width / patchSize)] as const;
  const pooled = factor === 1 ? states : poolPatches(states, { factor, prefixTokens, grid });
  return { last_hidden_state: states, image_embeds: pooled };
}

/**
 * image_embeds [batch, P, Dv] -> the queries [batch, Q, D], and what the model's heads make of them: in the shared space
 * [batch, Q, E], as soft prompts [batch, Q, width of the language model], as the beginning of a caption's cache. An
 * InstructBLIP's queries read `qformer_input_ids` [batch, tokens] beside the image.
 */
export function queriesGraph(p: Params, parts: Parts): Graph {
  const { config, heads, language } = parts;
  const { queries, cache } = readQueries(p, parts);
  return {
    queries,
    ...(heads.retrieval && { image_embeds_proj: projectImage(p, queries, config.image_text_hidden_size) }),
    ...(language && { language_projection: linear(p.at('language_projection'), queries, language.lm.width) }),
    ...(heads.writing && cacheOutputs(cache)),
  };
}

/**
 * The inputs of `queriesGraph` -> how much each query looks at each image token, in each layer that has cross-attention:
 * [batch, layers, H, Q, P].
 */
export function attentionGraph(p: Params, parts: Parts): Graph<'cross_attention'> {
  const layers = readQueries(p, parts).crossAttention.map(({ weights }) => unsqueeze(weights, { axis: 1 }));
  return { cross_attention: concat(layers, { axis: 1 }) };
}

function readQueries(p: Params, { config, encoder, instructed }: Parts): QueryPass {
  const imageEmbeds = input('image_embeds', 'float32', ['batch', 'patches', encoder.width]);
  const image = imageMemory(p.at('qformer'), imageEmbeds, context(config));
  return instructed
    ? readConditioned(p, { ...textInputs('batch', 'qformer_'), image }, config)
    : readImage(p, image, config);
}

/** Tokenised texts -> the states of their tokens [texts, tokens, D], and these in the shared space. */
export function textsGraph(p: Params, { config }: Parts): Graph<'text_embeds' | 'text_embeds_proj'> {
  const states = readText(p, textInputs(), config);
  return { text_embeds: states, text_embeds_proj: projectTokens(p, states, config.image_text_hidden_size) };
}

/**
 * Pairs of text n and image `image_rows[n]` -> the queries on both [texts, Q, D], and logits of "no match, match": of
 * every query and averaged.
 */
export function pairsGraph(
  p: Params,
  { config, encoder }: Parts,
): Graph<'multimodal_embeds' | 'itm_logits_per_query' | 'itm_logits'> {
  const imageEmbeds = input('image_embeds', 'float32', ['images', 'patches', encoder.width]);
  const memory = imageMemory(p.at('qformer'), imageEmbeds, context(config)); // once an image
  const image = gatherMemory(memory, input('image_rows', 'int64', ['texts']));
  const queries = readPair(p, { ...textInputs(), image }, config);
  const perQuery = matchLogitsByQuery(p, queries);
  return {
    multimodal_embeds: queries,
    itm_logits_per_query: perQuery,
    itm_logits: reduceMean(perQuery, { axes: [1], keepDims: false }),
  };
}

/**
 * Soft prompts and ids -> the logits of every position: of the prompt itself [batch, Q + T, V], or, of an
 * encoder-decoder, of `decoder_input_ids` [batch, decoded, V].
 */
export function logitsGraph(p: Params, lm: LanguageModel): Graph<'logits'> {
  const prompts = input('language_projection', 'float32', ['batch', 'queries', lm.width]);
  const text = lm.embed(p, input('input_ids', 'int64', ['batch', 'tokens']));
  const inputsEmbeds = concat([prompts, text], { axis: 1 });
  const attentionMask = input('attention_mask', 'int64', ['batch', inputsEmbeds.shape[1]!]);
  if (lm.kind === 'decoder') return { logits: lm.head(p, lm.decode(p, { inputsEmbeds, attentionMask }).hidden) };
  const memory = lm.memory(p, lm.encode(p, { inputsEmbeds, attentionMask }));
  const decoded = lm.decode(p, {
    inputsEmbeds: lm.embed(p, input('decoder_input_ids', 'int64', ['batch', 'decoded'])),
    attentionMask: input('decoder_attention_mask', 'int64', ['batch', 'decoded']),
    memory,
    memoryMask: attentionMask,
  });
  return { logits: lm.head(p, decoded.hidden) };
}

/** Every graph that a model of these files is used by. */
export function allGraphs(p: Params, files: Parts & Pick<ModelFiles, 'processor'>): Graph[] {
  return [
    visionGraph(p, files, files.processor.size),
    queriesGraph(p, files),
    ...(files.heads.retrieval ? [textsGraph(p, files), pairsGraph(p, files)] : []),
    ...(files.heads.writing ? [logitsGraph(p, captionWriter(files.config))] : []),
    ...(files.language ? [logitsGraph(p.at('language_model'), files.language.lm)] : []),
  ];
}

/** Every parameter that a model of these files has, by name. */
export function declareParameters(files: Parts & Pick<ModelFiles, 'processor'>): ReadonlyMap<string, Tensor> {
  const p = new Params();
  allGraphs(p, files);
  return p.declared;
}

const context = ({ qformer_config }: Parts['config']) => ({ config: qformer_config });

const textInputs = (rows = 'texts', prefix = '') => ({
  inputIds: input(`${prefix}input_ids`, 'int64', [rows, 'tokens']),
  attentionMask: input(`${prefix}attention_mask`, 'int64', [rows, 'tokens']),
});
