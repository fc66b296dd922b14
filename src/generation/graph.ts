import { addDims, type Dim, mulDims } from '../core/index.ts';
import { concat, gather, input, reduceSum, reshape, sub, type Tensor } from '../graph/index.ts';
import type { Decoded, DecoderInputs, LanguageModel, LanguageModelSizes, LayerCache } from '../models/index.ts';
import type { Params } from '../nn/index.ts';
import { layerInputs, layerOutputs } from './layer-tensors.ts';

/** Soft prompts [batch, soft, D], then the embeddings of input ids [batch, sequence]; either part may be empty. */
export function promptInputs(lm: LanguageModel, p: Params): Tensor {
  const softPrompts = input('soft_prompts', 'float32', ['batch', 'soft', lm.width]);
  return concat([softPrompts, lm.embed(p, input('input_ids', 'int64', ['batch', 'sequence']))], { axis: 1 });
}

/**
 * What a decoder reads of `inputsEmbeds` [batch, length, D] and of what a {@link KeyValueCache} holds. `attention_mask`
 * [batch, length, past + length] says what each new position sees; how much that is says where it stands.
 */
export function cachedInputs(inputsEmbeds: Tensor, sizes: LanguageModelSizes): DecoderInputs & { positionIds: Tensor } {
  const length = inputsEmbeds.shape[1]!;
  const attentionMask = input('attention_mask', 'int64', ['batch', length, addDims('past', length)]);
  const shape = ['batch', sizes.keyValueHeads, 'past', sizes.headWidth];
  const cache = layerInputs('past', sizes.layers, shape);
  const positionIds = sub(reduceSum(attentionMask, { axes: [2], keepDims: false }), 1);
  return { inputsEmbeds, attentionMask, positionIds, cache };
}

/** The logits [rows, V] of the positions `read`, counted through the batch, and the keys and values for the cache. */
export function decodingOutputs(
  { hidden, cache }: Decoded,
  { head, sizes }: { head: (hidden: Tensor) => Tensor; sizes: LanguageModelSizes },
): Record<string, Tensor> {
  const [batch, length, width] = hidden.shape as [Dim, Dim, Dim];
  const positions = reshape(hidden, { shape: [mulDims(batch, length), width] });
  // What a first text's keys and values are followed by where the cache keeps them: `KeyValueCache.firstText`.
  const spare = input('spare', 'float32', ['batch', sizes.keyValueHeads, 'spare', sizes.headWidth]);
  const followed = (x: Tensor) => concat([x, spare], { axis: 2 });
  const roomy = cache.map(({ key, value }) => ({ key: followed(key), value: followed(value) }));
  return { logits: head(gather(positions, input('read', 'int64', ['rows']))), ...cacheOutputs(roomy) };
}

/** The keys and values of a graph's positions, as outputs that a {@link KeyValueCache} appends. */
export const cacheOutputs = (cache: readonly LayerCache[]): Record<string, Tensor> => layerOutputs('present', cache);
