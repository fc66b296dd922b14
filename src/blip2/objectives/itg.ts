import type { Dim } from '../../core/index.ts';
import { concat, equal, expand, linearProduct, numbers, slice, type Tensor, where } from '../../graph/index.ts';
import type { QFormerConfig } from '../../models/index.ts';
import { activations, ignoreIndex, layerNorm, linear, type Params, tokenCrossEntropy } from '../../nn/index.ts';

/** A caption as ITG reads and writes it. */
export interface Written {
  /** [DEC] and the caption up to its last token but one, int64 [B, T−1]. */
  readonly inputIds: Tensor;
  /** The token after each, −100 on padding: [SEP] carries loss. */
  readonly labels: Tensor;
  readonly attentionMask: Tensor;
}

/** [CLS] a cat [SEP] becomes [DEC] a cat -> a cat [SEP] (§3.2, ITG). inputIds, attentionMask int64 [B, T]. */
export function startWithDec(inputIds: Tensor, attentionMask: Tensor, dec: number): Written {
  const [batch, length] = inputIds.shape as [Dim, number];
  const start = expand(numbers([dec], 'int64', [1, 1]), { shape: [batch, 1] });
  const next = slice(inputIds, { axis: 1, start: 1 });
  return {
    inputIds: concat([start, slice(inputIds, { axis: 1, start: 1, end: length - 1 })], { axis: 1 }),
    labels: where(equal(slice(attentionMask, { axis: 1, start: 1 }), 1), next, ignoreIndex),
    attentionMask: slice(attentionMask, { axis: 1, end: length - 1 }),
  };
}

/** Next-token logits [B, T, V] of text states [B, T, D]: BERT's prediction head on the tied word embeddings. */
export function captionLogits(p: Params, text: Tensor, config: QFormerConfig): Tensor {
  const predictions = p.at('cls', 'predictions');
  const transform = predictions.at('transform');
  const dense = activations[config.hidden_act](linear(transform.at('dense'), text, config.hidden_size));
  const words = p.at('embeddings', 'word_embeddings').tensor('weight', [config.vocab_size, config.hidden_size]);
  return linearProduct(
    layerNorm(transform.at('LayerNorm'), dense, config.layer_norm_eps),
    words,
    predictions.tensor('bias', [config.vocab_size]),
  );
}

/** Image-grounded text generation (§3.2): the caption, written from the queries alone. */
export const itgLoss = (logits: Tensor, labels: Tensor, labelSmoothing: number): Tensor =>
  tokenCrossEntropy(logits, labels, { labelSmoothing });
