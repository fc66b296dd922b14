import { addDims, type Dim, subDims } from '../core/index.ts';
import { concat, input, reshape, slice, type Tensor } from '../graph/index.ts';
import {
  countedPositions,
  type Decoded,
  type DecoderInputs,
  type LanguageModel,
  type LanguageModelSizes,
  type LayerCache,
  lastOf,
} from '../models/index.ts';
import type { Params } from '../nn/index.ts';
import { layerInputs, layerOutputs } from './layer-tensors.ts';

/** Soft prompts [batch, soft, D], then the embeddings of input ids [batch, sequence]; either part may be empty. */
export function promptInputs(lm: LanguageModel, p: Params): Tensor {
  const softPrompts = input('soft_prompts', 'float32', ['batch', 'soft', lm.width]);
  return concat([softPrompts, lm.embed(p, input('input_ids', 'int64', ['batch', 'sequence']))], { axis: 1 });
}

/** What a decoder reads of `inputsEmbeds` [batch, length, D] and of the positions in a {@link KeyValueCache} before. */
export function cachedInputs(inputsEmbeds: Tensor, sizes: LanguageModelSizes): DecoderInputs & { positionIds: Tensor } {
  const length = inputsEmbeds.shape[1]!;
  const attentionMask = input('attention_mask', 'int64', ['batch', addDims('past', length)]);
  const shape = ['batch', sizes.keyValueHeads, 'past', sizes.headWidth];
  const cache = layerInputs('past', sizes.layers, shape);
  const positionIds = lastOf(countedPositions(attentionMask), length);
  return { inputsEmbeds, attentionMask, positionIds, cache };
}

/** The last position's logits [batch, V], and the keys and values to append to the cache. */
export function decodingOutputs({ hidden, cache }: Decoded, head: (hidden: Tensor) => Tensor): Record<string, Tensor> {
  const [batch, length, width] = hidden.shape as [Dim, Dim, Dim];
  const last = slice(hidden, { axis: 1, start: subDims(length, 1), end: length });
  return { logits: head(reshape(last, { shape: [batch, width] })), ...cacheOutputs(cache) };
}

/** The keys and values of a graph's positions, as outputs that a {@link KeyValueCache} appends. */
export const cacheOutputs = (cache: readonly LayerCache[]): Record<string, Tensor> => layerOutputs('present', cache);
