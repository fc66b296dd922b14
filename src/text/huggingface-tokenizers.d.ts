/** What we use of @huggingface/tokenizers, whose own declarations import without extensions and so do not resolve. */
declare module '@huggingface/tokenizers' {
  export class Tokenizer {
    normalizer: Normalizer | null;
    decoder: Decoder | null;
    constructor(tokenizer: object, config: object);
    encode(text: string, options?: { add_special_tokens?: boolean }): { ids: number[] };
    decode(ids: number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string;
    token_to_id(token: string): number | undefined;
    id_to_token(id: number): string | undefined;
  }

  abstract class Normalizer {
    config: object;
    constructor(config: object);
    abstract normalize(text: string): string;
  }
  export class PrecompiledNormalizer extends Normalizer {
    /** Base64. */
    charsmap: string;
    normalize(text: string): string;
  }

  abstract class Decoder {
    config: object;
    constructor(config: object);
    abstract decode_chain(tokens: string[]): string[];
  }
  export class SequenceDecoder extends Decoder {
    decoders: Decoder[];
    decode_chain(tokens: string[]): string[];
  }
  export class ByteFallbackDecoder extends Decoder {
    text_decoder: TextDecoder;
    decode_chain(tokens: string[]): string[];
  }
}
