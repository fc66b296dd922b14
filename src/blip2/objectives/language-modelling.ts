import { addDims } from '../../core/index.ts';
import { concat, expand, less, numbers, slice, type Tensor, where } from '../../graph/index.ts';
import type { Decoder, EncoderDecoder, LanguageModel } from '../../models/index.ts';
import { type Params, tokenCrossEntropy } from '../../nn/index.ts';

/** Soft visual prompts and the text beside them. */
export interface LanguageModellingInputs {
  /** [B, Q, D]: the projected queries. */
  readonly prompts: Tensor;
  /** int64 [B, T]: what follows them; for an encoder-decoder the prefix. */
  readonly inputIds: Tensor;
  readonly attentionMask: Tensor;
  /** int64, −100 = no loss: [B, T] for a decoder, the suffix [B, U] for an encoder-decoder. */
  readonly labels: Tensor;
  /** [B]: how much each row counts. Default: the same. */
  readonly weights?: Tensor | undefined;
}

/** The language model's own loss on `labels` behind soft prompts (§3.3); `p` is its root. */
export const languageModellingLoss = (p: Params, lm: LanguageModel, inputs: LanguageModellingInputs): Tensor =>
  lm.kind === 'decoder' ? languageModelling(p, lm, inputs) : prefixLanguageModelling(p, lm, inputs);

/** Decoders: one sequence of prompts and text; the last prompt predicts the first token. */
function languageModelling(
  p: Params,
  lm: Decoder,
  { prompts, inputIds, attentionMask, labels, weights }: LanguageModellingInputs,
): Tensor {
  const Q = prompts.shape[1] as number;
  const { hidden } = lm.decode(p, sequence(p, lm, { prompts, inputIds, attentionMask }));
  const before = slice(hidden, { axis: 1, start: Q - 1, end: addDims(Q - 1, inputIds.shape[1]!) }); // one before each label
  return tokenCrossEntropy(lm.head(p, before), labels, { weights });
}

/** Encoder-decoders: prompts and prefix to the encoder; the decoder is scored on the suffix alone. */
function prefixLanguageModelling(
  p: Params,
  lm: EncoderDecoder,
  { labels, weights, ...inputs }: LanguageModellingInputs,
): Tensor {
  const encoderInputs = sequence(p, lm, inputs);
  const memory = lm.memory(p, lm.encode(p, encoderInputs));
  const decoderIds = shiftRight(labels, lm.decoderStart);
  const { hidden } = lm.decode(p, {
    inputsEmbeds: lm.embed(p, decoderIds),
    attentionMask: expand(numbers([1], 'int64', [1, 1]), { shape: labels.shape }),
    memory,
    memoryMask: encoderInputs.attentionMask,
  });
  return tokenCrossEntropy(lm.head(p, hidden), labels, { weights });
}

function sequence(
  p: Params,
  lm: LanguageModel,
  { prompts, inputIds, attentionMask }: Pick<LanguageModellingInputs, 'prompts' | 'inputIds' | 'attentionMask'>,
) {
  const [batch, queries] = prompts.shape;
  const seen = expand(numbers([1], 'int64', [1, 1]), { shape: [batch!, queries!] });
  return {
    inputsEmbeds: concat([prompts, lm.embed(p, inputIds)], { axis: 1 }),
    attentionMask: concat([seen, attentionMask], { axis: 1 }),
  };
}

/** Labels as the decoder reads them: the start id, then all but the last; padding reads as id 0. */
function shiftRight(labels: Tensor, start: number): Tensor {
  const [batch, length] = labels.shape as [number, number];
  const first = expand(numbers([start], 'int64', [1, 1]), { shape: [batch, 1] });
  const rest = slice(labels, { axis: 1, end: length - 1 });
  return concat([first, where(less(rest, 0), 0, rest)], { axis: 1 });
}
