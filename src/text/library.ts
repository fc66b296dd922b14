/**
 * @huggingface/tokenizers, and the two places where it departs from the reference implementation (the Rust crate of the
 * same name), which the golden strings show: SentencePiece's normalisation and byte fallback.
 */
import {
  ByteFallbackDecoder,
  Tokenizer as Library,
  PrecompiledNormalizer,
  SequenceDecoder,
} from '@huggingface/tokenizers';

export type { Library };

/** The library's tokenizer for a `tokenizer.json`, repaired. */
export function createLibrary(tokenizer: object, config: object): Library {
  const library = new Library(tokenizer, config);
  const { normalizer, decoder } = library;
  if (normalizer instanceof PrecompiledNormalizer) library.normalizer = new CharsMap(normalizer);
  if (decoder instanceof SequenceDecoder) {
    decoder.decoders = decoder.decoders.map((d) => (d instanceof ByteFallbackDecoder ? new ByteFallback(d) : d));
  }
  return library;
}

const encoder = new TextEncoder();

/**
 * SentencePiece's precompiled character map (sentencepiece, src/normalizer.cc): a double-array trie from UTF-8 byte
 * strings to offsets of their NUL-terminated replacements. The library approximates it by NFKC.
 */
class CharsMap extends PrecompiledNormalizer {
  readonly #trie: Uint32Array;
  readonly #replacements: Uint8Array;
  readonly #graphemes = new Intl.Segmenter('und', { granularity: 'grapheme' });
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });

  constructor({ config, charsmap }: PrecompiledNormalizer) {
    super(config);
    const bytes = Uint8Array.from(atob(charsmap), (c) => c.charCodeAt(0));
    const trieBytes = new DataView(bytes.buffer).getUint32(0, true);
    this.#trie = new Uint32Array(bytes.slice(4, 4 + trieBytes).buffer);
    this.#replacements = bytes.subarray(4 + trieBytes);
  }

  override normalize(text: string): string {
    let out = '';
    for (const { segment } of this.#graphemes.segment(text)) {
      // The reference looks up short graphemes whole, and everything else by character.
      const whole = encoder.encode(segment).length < 6 ? this.#lookUp(segment) : undefined;
      out += whole ?? Array.from(segment, (character) => this.#lookUp(character) ?? character).join('');
    }
    return out;
  }

  /** The replacement of the shortest prefix of `text` that has one. */
  #lookUp(text: string): string | undefined {
    const trie = this.#trie;
    let at = offsetOf(trie[0]!);
    for (const byte of encoder.encode(text)) {
      at ^= byte;
      const unit = trie[at]!;
      if ((unit & 0x800000ff) !== byte) return undefined;
      at ^= offsetOf(unit);
      if ((unit >>> 8) & 1) {
        const start = trie[at]! & 0x7fffffff;
        return this.#decoder.decode(this.#replacements.subarray(start, this.#replacements.indexOf(0, start)));
      }
    }
    return undefined;
  }
}

/** The distance to a unit's children in a darts-clone double array. */
const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);

/**
 * Runs of byte tokens `<0xE2>` back to text; a run that is not UTF-8 gives one U+FFFD for each of its bytes. The library
 * drops byte order marks and decodes such runs in part.
 */
class ByteFallback extends ByteFallbackDecoder {
  constructor({ config }: ByteFallbackDecoder) {
    super(config);
    this.text_decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  }

  override decode_chain(tokens: string[]): string[] {
    const out: string[] = [];
    let run: number[] = [];
    const flush = () => {
      if (run.length > 0) out.push(this.#text(run));
      run = [];
    };
    for (const token of tokens) {
      const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1];
      if (byte !== undefined) run.push(Number.parseInt(byte, 16));
      else {
        flush();
        out.push(token);
      }
    }
    flush();
    return out;
  }

  #text(bytes: number[]): string {
    try {
      return this.text_decoder.decode(Uint8Array.from(bytes));
    } catch {
      return '\ufffd'.repeat(bytes.length);
    }
  }
}
