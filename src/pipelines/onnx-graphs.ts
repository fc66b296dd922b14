import { captionWriter } from '../blip2/index.ts';
import { addDims, type Dim } from '../core/index.ts';
import { concat, expand, input, numbers } from '../graph/index.ts';
import {
  countedPositions,
  type Decoder,
  type EncoderDecoder,
  type LanguageModel,
  type LanguageModelSizes,
  type LayerCache,
  lastOf,
} from '../models/index.ts';
import { Params } from '../nn/index.ts';
import { type Graph, pairsGraph, queriesGraph, textsGraph, visionGraph } from './graphs.ts';
import type { ModelFiles } from './model-files.ts';

/** The graphs that other programs run a model by. Their names, and those of inputs and outputs, are optimum's where it has one. */

/** What writes: the language model, or else the Q-Former itself where stage 1 has taught it. */
export function writerOf({ config, heads, language }: ModelFiles): { lm: LanguageModel; path: string } | undefined {
  if (language) return { lm: language.lm, path: 'language_model' };
  return heads.writing ? { lm: captionWriter(config), path: '' } : undefined;
}

/** By the name of the file that a graph goes to. */
export function onnxGraphs(files: ModelFiles): Record<string, Graph> {
  const p = new Params();
  const writer = writerOf(files);
  return {
    vision_model: visionGraph(p, files, files.processor.size),
    qformer: queriesGraph(p, files),
    ...(files.heads.retrieval && { text_model: textsGraph(p, files), itm: pairsGraph(p, files) }),
    ...(writer && writingGraphs(p.at(writer.path), writer.lm)),
  };
}

function writingGraphs(p: Params, lm: LanguageModel): Record<string, Graph> {
  const embed_tokens = { inputs_embeds: lm.embed(p, input('input_ids', 'int64', ['batch', 'sequence'])) };
  return { embed_tokens, ...(lm.kind === 'decoder' ? decoderGraphs(p, lm) : encoderDecoderGraphs(p, lm)) };
}

/** inputs_embeds and the cache of what came before -> logits of every new position, and the cache with them. */
function decoderGraphs(p: Params, lm: Decoder): Record<string, Graph> {
  const inputsEmbeds = input('inputs_embeds', 'float32', ['batch', 'sequence', lm.width]);
  const attentionMask = input('attention_mask', 'int64', ['batch', addDims('past', 'sequence')]);
  const cache = cacheInputs(lm);
  const positionIds = lastOf(countedPositions(attentionMask), 'sequence');
  const decoded = lm.decode(p, { inputsEmbeds, attentionMask, positionIds, cache });
  const logits = lm.head(p, decoded.hidden);
  return { decoder_model_merged: { logits, ...cacheOutputs(joined(cache, decoded.cache)) } };
}

/** The encoder with the keys and values that all steps of the decoder share, and the decoder. */
function encoderDecoderGraphs(p: Params, lm: EncoderDecoder): Record<string, Graph> {
  const embeds = input('inputs_embeds', 'float32', ['batch', 'encoded', lm.width]);
  const encoded = lm.encode(p, {
    inputsEmbeds: embeds,
    attentionMask: input('attention_mask', 'int64', ['batch', 'encoded']),
  });
  const cache = cacheInputs(lm, 'decoder.');
  const decoded = lm.decode(p, {
    inputsEmbeds: lm.embed(p, input('input_ids', 'int64', ['batch', 'sequence'])),
    attentionMask: expand(numbers([1], 'int64'), { shape: ['batch', addDims('past', 'sequence')] }),
    cache,
    memory: cacheInputs(lm, 'encoder.', 'encoded'),
    memoryMask: input('encoder_attention_mask', 'int64', ['batch', 'encoded']),
  });
  const present = cacheOutputs(joined(cache, decoded.cache), 'decoder.');
  return {
    encoder_model: { last_hidden_state: encoded, ...cacheOutputs(lm.memory(p, encoded), 'encoder.') },
    decoder_model_merged: { logits: lm.head(p, decoded.hidden), ...present },
  };
}

/** By layer, keys and values of `length` positions: `past_key_values.0.key`, or with whose they are before `key`. */
function cacheInputs(sizes: LanguageModelSizes, whose = '', length: Dim = 'past'): LayerCache[] {
  const shape = ['batch', sizes.keyValueHeads, length, sizes.headWidth];
  const part = (layer: number, name: string) => input(`past_key_values.${layer}.${whose}${name}`, 'float32', shape);
  return Array.from({ length: sizes.layers }, (_, layer) => ({ key: part(layer, 'key'), value: part(layer, 'value') }));
}

const cacheOutputs = (cache: readonly LayerCache[], whose = ''): Graph =>
  Object.fromEntries(
    cache.flatMap(({ key, value }, layer) => [
      [`present.${layer}.${whose}key`, key],
      [`present.${layer}.${whose}value`, value],
    ]),
  );

/** Past and new positions, which is what other programs keep. */
const joined = (past: readonly LayerCache[], added: readonly LayerCache[]): LayerCache[] =>
  past.map(({ key, value }, layer) => ({
    key: concat([key, added[layer]!.key], { axis: 2 }),
    value: concat([value, added[layer]!.value], { axis: 2 }),
  }));
