/** A Q-Former of three layers, small enough for a test. */
import { parseBlip2Config } from '../../src/blip2/index.ts';
import { elements, floats, int64s, type Random, type Value } from '../../src/core/index.ts';

export const imageWidth = 6;

export const config = parseBlip2Config({
  num_query_tokens: 3,
  image_text_hidden_size: 4,
  qformer_config: {
    hidden_size: 8,
    num_hidden_layers: 3,
    num_attention_heads: 2,
    intermediate_size: 12,
    hidden_act: 'gelu',
    layer_norm_eps: 1e-12,
    max_position_embeddings: 16,
    cross_attention_frequency: 2,
    encoder_hidden_size: imageWidth,
    vocab_size: 20,
  },
});

export const normal = (draws: Random, shape: readonly number[], deviation = 1): Value<'float32'> =>
  floats(
    shape,
    Float32Array.from({ length: elements(shape) }, () => deviation * draws.normal()),
  );

/** What `stageOneInputs` reads, at random; text n has `lengths[n]` tokens, and each image is paired with its own text. */
export function randomBatch(
  draws: Random,
  { lengths, patches, tokens }: { lengths: readonly number[]; patches: number; tokens: number },
): Record<string, Value> {
  const batch = lengths.length;
  return {
    imageEmbeds: normal(draws, [batch, patches, imageWidth]),
    inputIds: int64s(
      [batch, tokens],
      Array.from({ length: batch * tokens }, () => 2 + draws.below(18)),
    ),
    attentionMask: int64s(
      [batch, tokens],
      lengths.flatMap((length) => Array.from({ length: tokens }, (_, i) => (i < length ? 1 : 0))),
    ),
    negatives: floats(
      [batch, batch],
      Float32Array.from({ length: batch * batch }, (_, k) => (k % (batch + 1) === 0 ? 0 : 1)),
    ),
    gumbelText: normal(draws, [batch, batch]),
    gumbelImage: normal(draws, [batch, batch]),
    hardness: floats([], [1]),
  };
}
