import type { Dim } from '../core/index.ts';
import type { Tensor } from '../graph/index.ts';
import type { Params } from '../nn/index.ts';

/**
 * A family of frozen image encoders ("any powerful vision model"). One folder `models/<model_type>/` and one line in
 * image-encoders.ts add another.
 */
export interface ImageEncoderFamily<C> {
  /** The `vision_config` of a Hugging Face checkpoint, checked. Throws ConfigError naming the field. */
  parseConfig(json: unknown): C;
  /** pixelValues [B, 3, H, W] -> imageEmbeds [B, P, Dv], what the Q-Former attends to: after the last LayerNorm. */
  encode(p: Params, pixelValues: Tensor, config: C): Tensor;
  /** What a caller has to know about its output and input. */
  describe(config: C): { width: number; patchSize: number; imageSize: number };
}

/** Keys and values of earlier positions, per layer: [B, heads, past, d]. */
export interface LayerCache {
  readonly key: Tensor;
  readonly value: Tensor;
}

/** What a decoder reads. Embeddings rather than ids, because soft visual prompts have no ids. */
export interface DecoderInputs {
  /** [B, T, D] */
  inputsEmbeds: Tensor;
  /** [B, past + T], int64: 1 = keep, 0 = padding. */
  attentionMask: Tensor;
  /** int64 [B, T]; what the reference's forward uses where absent. */
  positionIds?: Tensor | undefined;
  /** Of earlier positions; absent in a plain forward. */
  cache?: readonly LayerCache[] | undefined;
  past?: Dim | undefined;
}

/** A family of frozen decoder language models (OPT, Llama). */
export interface DecoderFamily<C> {
  parseConfig(json: unknown): C;
  /** Rows of the word embedding, ready to be `inputsEmbeds`: int64 [B, T] -> [B, T, D]. */
  embed(p: Params, inputIds: Tensor, config: C): Tensor;
  /** The last hidden state [B, T, D] (after the final norm) and the grown cache. */
  decode(p: Params, inputs: DecoderInputs, config: C): { hidden: Tensor; cache: readonly LayerCache[] };
  /** Next-token logits [.., V] of hidden states: the head alone, so that a caller can take the last position first. */
  head(p: Params, hidden: Tensor, config: C): Tensor;
  describe(config: C): { width: number; vocabularySize: number; layers: number; keyValueHeads: number; headWidth: number };
}
