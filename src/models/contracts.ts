import type { Tensor } from '../graph/index.ts';
import type { LeftOut, Params } from '../nn/index.ts';

/**
 * A family of frozen image encoders ("any powerful vision model"). One folder `models/<model_type>/` and one line in
 * image-encoders.ts add another.
 */
export interface ImageEncoderFamily<C> {
  /** The `vision_config` of a Hugging Face checkpoint, checked. Throws ConfigError naming the field. */
  parseConfig(json: unknown): C;
  /**
   * pixelValues [B, 3, H, W] -> [B, P, Dv]: what the Q-Former attends to, or what `lnVision` makes that of. Where the
   * encoder trains, a step may leave tokens and branches out.
   */
  encode(p: Params, pixelValues: Tensor, config: C, leftOut?: LeftOut): Tensor;
  /**
   * BLIP-2's own LayerNorm over what the encoder gives (LAVIS's `ln_vision`), which trains where the encoder is frozen.
   * Absent where the encoder's own last LayerNorm is all there is.
   */
  lnVision?(p: Params, states: Tensor, config: C): Tensor;
  /** What a caller has to know about its output and input. */
  describe(config: C): VisionSizes;
}

/** How a position table becomes one for another grid: see `interpolatePositions`. */
export interface Interpolation {
  /** Whether the outermost cells of both grids lie on each other, rather than the grids' outer edges. Default false. */
  readonly alignCorners?: boolean;
  /** Whether a smaller grid averages all samples that fall into a cell, as PyTorch's `antialias`. Default false. */
  readonly antialias?: boolean;
  /** Whether the table's first row is the class token's, which has no place in the grid. Default true. */
  readonly classToken?: boolean;
}

export interface VisionSizes {
  /** Of its output. */
  readonly width: number;
  readonly patchSize: number;
  /** The side of the images that its positions are for. */
  readonly imageSize: number;
  /** How many of its tokens stand before the patches: the class token, registers. */
  readonly prefixTokens: number;
  /** The name of its position table, and how that is interpolated for other sizes. */
  readonly positions: { readonly name: string } & Interpolation;
}

/** Attention keys and values of one layer, [B, K, positions, d]. */
export interface LayerCache {
  readonly key: Tensor;
  readonly value: Tensor;
}

/** What a decoder reads. Embeddings rather than ids, because soft visual prompts have no ids. */
export interface DecoderInputs {
  /** [B, T, D] */
  inputsEmbeds: Tensor;
  /**
   * int64 [B, past + T]: 1 = keep, 0 = padding, which may stand anywhere; a new position sees what is kept, up to itself.
   * Or [B, T, past + T]: what each of them sees, where they are not one text.
   */
  attentionMask: Tensor;
  /** int64 [B, T]; where absent, what the reference's plain forward uses. Given with a cache. */
  positionIds?: Tensor | undefined;
  /** By layer, of the `past` positions before these; slots that the attention mask zeroes may hold anything finite. */
  cache?: readonly LayerCache[] | undefined;
}

export interface Decoded {
  /** The last hidden states, after the final norm: [B, T, D]. */
  hidden: Tensor;
  /** By layer, the keys and values of the T new positions alone: whoever keeps the cache appends them. */
  cache: readonly LayerCache[];
}

/** What a caller has to know about a language model: its sizes, and those of its cache. */
export interface LanguageModelSizes {
  /** Of `inputsEmbeds`. */
  width: number;
  /** Rows of the embedding and of the head, which may be more than the tokenizer has. */
  vocabularySize: number;
  /** Decoder layers. */
  layers: number;
  keyValueHeads: number;
  headWidth: number;
  /** The longest sequence, soft prompts included; absent where positions are relative. */
  maxPositions?: number | undefined;
}

/** What every family of frozen language models has. One folder `models/<model_type>/` and one line add another. */
interface LanguageModelFamily<C> {
  /** The `text_config` of a Hugging Face checkpoint, checked. Throws ConfigError naming the field. */
  parseConfig(json: unknown): C;
  /** Rows of the word embedding, ready to be `inputsEmbeds`: int64 [B, T] -> [B, T, D]. */
  embed(p: Params, inputIds: Tensor, config: C): Tensor;
  /** Next-token logits [.., V] of hidden states: the head alone, so that a caller can take the last position first. */
  head(p: Params, hidden: Tensor, config: C): Tensor;
  describe(config: C): LanguageModelSizes;
}

/** Decoder-only models (OPT, Llama): the prompt and what follows it are one sequence. */
export interface DecoderFamily<C> extends LanguageModelFamily<C> {
  readonly kind: 'decoder';
  decode(p: Params, inputs: DecoderInputs, config: C): Decoded;
}

/** What the decoder of an encoder-decoder model reads besides its own sequence. */
export interface EncoderMemory {
  /** By layer, from {@link EncoderDecoderFamily.memory}: [B, H, S, d]. */
  memory: readonly LayerCache[];
  /** The encoder's mask, int64 [B, S]. */
  memoryMask: Tensor;
}

/** Encoder-decoder models (T5): the prompt goes to the encoder, what follows it to the decoder. */
export interface EncoderDecoderFamily<C> extends LanguageModelFamily<C> {
  readonly kind: 'encoder-decoder';
  /** inputsEmbeds [B, S, D] under a mask int64 [B, S] -> the encoder's output [B, S, D]. */
  encode(p: Params, inputs: { inputsEmbeds: Tensor; attentionMask: Tensor }, config: C): Tensor;
  /** The cross-attention keys and values of the encoder's output, by layer: the same at every step. */
  memory(p: Params, encoded: Tensor, config: C): readonly LayerCache[];
  decode(p: Params, inputs: DecoderInputs & EncoderMemory, config: C): Decoded;
  /** The id that every decoded sequence starts with. */
  decoderStart(config: C): number;
}
