import { CheckpointError, ConfigError, int64s, type Value } from '../core/index.ts';
import { parseTokenizerFiles, type TokenizerConfig, type TokenizerFiles, vocabularySize } from './files.ts';
import { createLibrary, type Library } from './library.ts';

export type Side = 'left' | 'right';

/** The ids of the tokens with a role; what a tokenizer does not have is undefined. */
export type SpecialTokens = Readonly<Partial<Record<(typeof roles)[number] | 'image', number>>>;
const roles = ['bos', 'eos', 'unk', 'sep', 'pad', 'cls', 'mask'] as const;

export interface EncodeOptions {
  /** [CLS] and [SEP], </s>, … as the tokenizer's template puts them. Default: true. */
  readonly addSpecialTokens?: boolean;
  /** Longer texts lose tokens; special tokens count and stay. Default: no limit. */
  readonly maxLength?: number;
  /** The end that is cut. Default: the tokenizer's own. */
  readonly truncationSide?: Side;
}

export interface BatchOptions extends EncodeOptions {
  /** The least length of the rows; they have at least that of the longest text. */
  readonly padTo?: number;
  /** The end that is padded. Default: the tokenizer's own. */
  readonly paddingSide?: Side;
}

/** A batch of token sequences; the mask is 1 on tokens and 0 on padding. */
export interface Encoding {
  /** [B, T] */
  readonly inputIds: Value<'int64'>;
  /** [B, T] */
  readonly attentionMask: Value<'int64'>;
}

export interface DecodeOptions {
  /** Leave out special tokens. Default: true. */
  readonly skipSpecialTokens?: boolean;
  /** Close the gaps before punctuation and contractions, as transformers does. Default: the tokenizer's own. */
  readonly cleanUp?: boolean;
}

/** Text to token ids and back, as transformers' fast tokenizers do it: WordPiece, BPE and Unigram. */
export class Tokenizer {
  readonly files: TokenizerFiles;
  /** One more than the highest id. */
  readonly vocabularySize: number;
  readonly special: SpecialTokens;
  readonly paddingSide: Side;
  readonly truncationSide: Side;
  /** Whether gaps before punctuation and contractions are closed in texts of ids, unless the caller says otherwise. */
  readonly cleanUp: boolean;
  readonly #library: Library;
  /** What the template puts before and after every text. */
  readonly #prefix: readonly number[];
  readonly #suffix: readonly number[];

  constructor(files: TokenizerFiles) {
    this.files = files;
    const { tokenizer, config, source } = files;
    try {
      this.#library = createLibrary(tokenizer, config);
    } catch (cause) {
      throw new ConfigError(`${source}: this tokenizer.json cannot be used: ${String(cause)}`, { cause });
    }
    this.vocabularySize = vocabularySize(tokenizer);
    this.special = specialTokens(config, (token) => this.#library.token_to_id(token));
    // transformers' Llama classes pad on the left without saying so in the file.
    this.paddingSide = config.padding_side ?? (config.tokenizer_class?.startsWith('Llama') ? 'left' : 'right');
    this.truncationSide = config.truncation_side ?? 'right';
    this.cleanUp = config.clean_up_tokenization_spaces ?? false;
    // Every text's template is read off one text's ids, so that texts can be truncated between its special tokens.
    const bare = this.#library.encode('a', { add_special_tokens: false }).ids;
    const full = this.#library.encode('a').ids;
    const start = full.findIndex((_, i) => bare.every((id, k) => full[i + k] === id));
    this.#prefix = full.slice(0, start);
    this.#suffix = full.slice(start + bare.length);
  }

  /** A tokenizer from in-memory `tokenizer.json` and `tokenizer_config.json`. Throws ConfigError. */
  static fromJson(tokenizer: unknown, config?: unknown, source?: string): Tokenizer {
    return new Tokenizer(parseTokenizerFiles({ tokenizer, config }, source));
  }

  /** The ids of one text. */
  encode(text: string, options: EncodeOptions = {}): number[] {
    const { addSpecialTokens = true, maxLength = Infinity, truncationSide = this.truncationSide } = options;
    const { ids } = this.#library.encode(text, { add_special_tokens: false });
    const [prefix, suffix] = addSpecialTokens ? [this.#prefix, this.#suffix] : [[], []];
    const room = Math.max(0, maxLength - prefix.length - suffix.length);
    const excess = Math.max(0, ids.length - room);
    const kept = truncationSide === 'left' ? ids.slice(excess) : ids.slice(0, ids.length - excess);
    return [...prefix, ...kept, ...suffix];
  }

  /**
   * The ids of a text that goes on from a prompt, without special tokens: those after the prompt's own in both together,
   * with a blank between them where the prompt does not end in white space. A tokenizer may begin every text with a blank
   * of its own (Llama's `Prepend`), so a text alone does not give them. Where the prompt's ids do not begin those of both,
   * because its end and the text's beginning are one piece, they are the ids of the blank and the text alone.
   */
  encodeAfter(prompt: string, text: string): number[] {
    const bare = { addSpecialTokens: false };
    const gap = prompt === '' || /\s$/.test(prompt) ? '' : ' ';
    const before = this.encode(prompt, bare);
    const whole = this.encode(prompt + gap + text, bare);
    const goesOn = before.every((id, i) => whole[i] === id);
    return goesOn ? whole.slice(before.length) : this.encode(gap + text, bare);
  }

  /** The ids of several texts, padded to one length. Throws ConfigError where padding is needed and has no token. */
  encodeBatch(texts: readonly string[], options: BatchOptions = {}): Encoding {
    const rows = texts.map((text) => this.encode(text, options));
    return padSequences(rows, {
      id: () => this.require('pad'),
      side: options.paddingSide ?? this.paddingSide,
      length: options.padTo,
    });
  }

  /** The text of ids. Ids beyond the vocabulary, which padded output layers can produce, stand for nothing. */
  decode(ids: ArrayLike<number | bigint>, options: DecodeOptions = {}): string {
    const { skipSpecialTokens = true, cleanUp = this.cleanUp } = options;
    const known = Array.from(ids, Number).filter((id) => this.#library.id_to_token(id) !== undefined);
    if (known.length === 0) return ''; // which the library refuses
    return this.#library.decode(known, {
      skip_special_tokens: skipSpecialTokens,
      clean_up_tokenization_spaces: cleanUp,
    });
  }

  /** The piece of an id, or undefined. */
  piece(id: number): string | undefined {
    return this.#library.id_to_token(id);
  }

  /** The id of a piece, or undefined. */
  id(piece: string): number | undefined {
    return this.#library.token_to_id(piece);
  }

  /** The id of a special token that the caller cannot do without. Throws ConfigError where there is none. */
  require(role: keyof SpecialTokens): number {
    const id = this.special[role];
    if (id !== undefined) return id;
    const token = role === 'image' ? 'the token <image>' : `a ${role}_token in tokenizer_config.json`;
    throw new ConfigError(`${this.files.source}: expected ${token}, found none`);
  }
}

function specialTokens(config: TokenizerConfig, idOf: (token: string) => number | undefined): SpecialTokens {
  const contentOf = (token: TokenizerConfig['bos_token']) => (typeof token === 'string' ? token : token?.content);
  const entries = roles.map((role) => [role, idOf(contentOf(config[`${role}_token`]) ?? '')]);
  return Object.fromEntries([...entries, ['image', idOf('<image>')]]);
}

/** Sequences of different lengths as one batch. The padding id is asked for only where a row is padded. */
export function padSequences(
  rows: readonly (readonly number[])[],
  { id, side, length = 0 }: { id: () => number; side: Side; length?: number | undefined },
): Encoding {
  const T = rows.reduce((longest, row) => Math.max(longest, row.length), length);
  const padded = (row: readonly number[], fill: () => number) => {
    const padding = row.length < T ? new Array<number>(T - row.length).fill(fill()) : [];
    return side === 'left' ? [...padding, ...row] : [...row, ...padding];
  };
  const inputIds = rows.flatMap((row) => padded(row, id));
  const attentionMask = rows.flatMap((row) => padded(new Array(row.length).fill(1), () => 0));
  return { inputIds: int64s([rows.length, T], inputIds), attentionMask: int64s([rows.length, T], attentionMask) };
}

/** Throws CheckpointError where a tokenizer has ids that an embedding of so many rows does not. */
export function checkVocabulary({ files, vocabularySize }: Tokenizer, name: string, rows: number): void {
  if (vocabularySize <= rows) return;
  throw new CheckpointError(
    `${files.source}: this tokenizer has ids up to ${vocabularySize - 1}, but ${name} has ${rows} rows: ` +
      'they belong to different models, or the embedding was not resized for an added token',
  );
}
