import { z } from 'zod';
import { ConfigError } from '../core/index.ts';

const tokenContent = z.union([z.string(), z.looseObject({ content: z.string() })]).nullish();
const side = z.enum(['left', 'right']);

const tokenizerJson = z.looseObject({
  added_tokens: z.array(z.looseObject({ id: z.int(), content: z.string(), special: z.boolean() })),
  normalizer: z.unknown(),
  pre_tokenizer: z.unknown(),
  post_processor: z.unknown(),
  decoder: z.unknown(),
  model: z.looseObject({
    type: z.enum(['WordPiece', 'BPE', 'Unigram']),
    /** Piece to id, or (Unigram) pieces with their scores in the order of their ids. */
    vocab: z.union([z.record(z.string(), z.int()), z.array(z.unknown())]),
  }),
});

const specialTokens = {
  bos_token: tokenContent,
  eos_token: tokenContent,
  unk_token: tokenContent,
  sep_token: tokenContent,
  pad_token: tokenContent,
  cls_token: tokenContent,
  mask_token: tokenContent,
};

const tokenizerConfig = z.looseObject({
  ...specialTokens,
  tokenizer_class: z.string().nullish(),
  padding_side: side.nullish(),
  truncation_side: side.nullish(),
  clean_up_tokenization_spaces: z.boolean().nullish(),
});

export type TokenizerJson = z.infer<typeof tokenizerJson>;
export type TokenizerConfig = z.infer<typeof tokenizerConfig>;

/** A tokenizer as data: what its folder holds, or what a program made. */
export interface TokenizerFiles {
  /** tokenizer.json. Its truncation and padding are not used: they are whatever the last program had set. */
  readonly tokenizer: TokenizerJson;
  /** tokenizer_config.json, with the tokens of special_tokens_map.json where it names none. */
  readonly config: TokenizerConfig;
  /** What errors call it. */
  readonly source: string;
}

/** Checks in-memory JSON. Throws ConfigError, naming `source`, the file and the field. */
export function parseTokenizerFiles(
  json: { tokenizer: unknown; config?: unknown; specialTokensMap?: unknown },
  source = 'tokenizer',
): TokenizerFiles {
  const map = check(z.object(specialTokens), json.specialTokensMap ?? {}, `${source}/special_tokens_map.json`);
  const config = check(tokenizerConfig, json.config ?? {}, `${source}/tokenizer_config.json`);
  const tokenizer = check(tokenizerJson, json.tokenizer, `${source}/tokenizer.json`);
  return { tokenizer, config: { ...bertTokens(tokenizer), ...map, ...config }, source };
}

/** BERT's special tokens as far as a WordPiece tokenizer has them: BERT's own tokenizer_config.json names none. */
function bertTokens({ model, added_tokens }: TokenizerJson): TokenizerConfig {
  if (model.type !== 'WordPiece') return {};
  const found = Object.entries(bertNames).filter(([, name]) => added_tokens.some(({ content }) => content === name));
  return Object.fromEntries(found.map(([role, name]) => [`${role}_token`, name]));
}

const bertNames = { pad: '[PAD]', unk: '[UNK]', cls: '[CLS]', sep: '[SEP]', mask: '[MASK]' };

function check<T>(schema: z.ZodType<T>, json: unknown, file: string): T {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw new ConfigError(`${file}: ${path.join('.') || 'the file'}: ${message}`);
}

/** BERT's lower-casing WordPiece tokenizer over a vocabulary, one piece a line of `vocab.txt`. */
export function bertFiles(pieces: readonly string[], source = 'vocab.txt'): TokenizerFiles {
  const idOf = (content: string) => {
    const id = pieces.indexOf(content);
    if (id < 0) throw new ConfigError(`${source}: expected the piece ${content} in the vocabulary, found none`);
    return id;
  };
  const special = (id: string, type_id: 0 | 1) => ({ SpecialToken: { id, type_id } });
  const sequence = (id: string, type_id: 0 | 1) => ({ Sequence: { id, type_id } });
  const single = [special(bertNames.cls, 0), sequence('A', 0), special(bertNames.sep, 0)];
  const template = (id: string) => [id, { id, ids: [idOf(id)], tokens: [id] }];
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: Object.values(bertNames)
      .map((content) => ({ id: idOf(content), content, ...plainSpecialToken }))
      .sort((a, b) => a.id - b.id),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single,
      pair: [...single, sequence('B', 1), special(bertNames.sep, 1)],
      special_tokens: Object.fromEntries([template(bertNames.cls), template(bertNames.sep)]),
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: bertNames.unk,
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
    },
  };
  const config = {
    tokenizer_class: 'BertTokenizer',
    do_lower_case: true,
    ...Object.fromEntries(Object.entries(bertNames).map(([role, content]) => [`${role}_token`, content])),
  };
  return parseTokenizerFiles({ tokenizer, config }, source);
}

const plainSpecialToken = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };

/**
 * The tokenizer with one more special token, at the end of its vocabulary unless it is there already. LAVIS gives the
 * Q-Former's BERT vocabulary its [DEC], the token that starts a caption, this way: `withSpecialToken(f, 'bos', '[DEC]')`.
 */
export function withSpecialToken(files: TokenizerFiles, role: 'bos' | 'eos' | 'pad', content: string): TokenizerFiles {
  const added = withToken(files, content);
  return { ...added, config: { ...added.config, [`${role}_token`]: content } };
}

/** The same without a role: BLIP-2's processors write <image> where the queries stand. */
export function withToken(files: TokenizerFiles, content: string): TokenizerFiles {
  const { tokenizer } = files;
  if (tokenizer.added_tokens.some((token) => token.content === content)) return files;
  const added = { id: vocabularySize(tokenizer), content, ...plainSpecialToken };
  return { ...files, tokenizer: { ...tokenizer, added_tokens: [...tokenizer.added_tokens, added] } };
}

/** One more than the highest id, added tokens included. */
export function vocabularySize({ model, added_tokens }: TokenizerJson): number {
  const ids = Array.isArray(model.vocab) ? [model.vocab.length - 1] : Object.values(model.vocab);
  return 1 + [...ids, ...added_tokens.map((token) => token.id)].reduce((a, b) => Math.max(a, b), -1);
}
