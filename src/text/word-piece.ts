import { z } from 'zod';
import { ConfigError } from '../core/index.ts';
import { type TokenizerFiles, type TokenizerJson, vocabularySize } from './files.ts';
import { Tokenizer } from './tokenizer.ts';

export interface PrunedTokenizer {
  /** The old id of each new one, ascending: new id i is old id `kept[i]`, and so is the embedding's row. */
  readonly kept: readonly number[];
  readonly files: TokenizerFiles;
  /** The pieces as a `vocab.txt`. Special tokens added after the vocabulary ([DEC]) are not part of it. */
  readonly vocabulary: string;
}

/**
 * A WordPiece tokenizer reduced to what a corpus uses: its pieces, the special tokens, and single characters (letters,
 * digits and ASCII punctuation, alone and as continuations), so that any word can still be written. Longest-match-first
 * splits every text of the corpus as before. If there is room for more in `size`, the first of the vocabulary stay, which are
 * the commonest in BERT's. Throws ConfigError for other kinds of tokenizers.
 */
export function pruneWordPiece(files: TokenizerFiles, corpus: Iterable<string>, size = 0): PrunedTokenizer {
  const { model, post } = parts(files);
  const used = new Set(files.tokenizer.added_tokens.map((token) => token.id));
  for (const character of asciiCharacters()) {
    for (const piece of [character, model.continuing_subword_prefix + character]) {
      const id = model.vocab[piece];
      if (id !== undefined) used.add(id);
    }
  }
  for (const id of usedBy(corpus, files)) used.add(id);
  const others = inOrder(model.vocab).filter(([piece, id]) => isWorthKeeping(piece) && !used.has(id));
  for (const [, id] of others.slice(0, Math.max(0, size - used.size))) used.add(id);

  const kept = [...used].sort((a, b) => a - b);
  const newId = new Map(kept.map((old, id) => [old, id]));
  const pieces = inOrder(model.vocab).filter(([, id]) => newId.has(id));
  return {
    kept,
    vocabulary: `${pieces.map(([piece]) => piece).join('\n')}\n`,
    files: {
      ...files,
      tokenizer: {
        ...files.tokenizer,
        truncation: null,
        padding: null,
        added_tokens: files.tokenizer.added_tokens.map((token) => ({ ...token, id: newId.get(token.id)! })),
        post_processor: renumberTemplate(post, newId),
        model: { ...model, vocab: Object.fromEntries(pieces.map(([piece, id]) => [piece, newId.get(id)!])) },
      },
      config: renumberConfig(files.config, newId),
    },
  };
}

export interface ExtendedTokenizer {
  /** The id in the larger vocabulary of each new piece: the first has the id that was the next one, and so on. */
  readonly added: readonly number[];
  readonly files: TokenizerFiles;
}

/**
 * A WordPiece tokenizer with the pieces of a larger vocabulary that it lacks after its own, whose ids stay: the way back from
 * `pruneWordPiece`. Those that a corpus uses come first, the others in their order. Places that BERT left unused and pieces
 * with letters beyond ASCII are not taken. Throws ConfigError for other kinds of tokenizers.
 */
export function extendWordPiece(
  files: TokenizerFiles,
  larger: TokenizerFiles,
  corpus: Iterable<string> = [],
): ExtendedTokenizer {
  const { model } = parts(files);
  const own = new Set([...Object.keys(model.vocab), ...files.tokenizer.added_tokens.map(({ content }) => content)]);
  const lacking = inOrder(parts(larger).model.vocab).filter(([piece]) => isWorthKeeping(piece) && !own.has(piece));
  const used = usedBy(corpus, larger);
  const pieces = [...lacking.filter(([, id]) => used.has(id)), ...lacking.filter(([, id]) => !used.has(id))];
  const first = vocabularySize(files.tokenizer);
  const vocab = { ...model.vocab, ...Object.fromEntries(pieces.map(([piece], i) => [piece, first + i])) };
  return {
    added: pieces.map(([, id]) => id),
    files: { ...files, tokenizer: { ...files.tokenizer, model: { ...model, vocab } } },
  };
}

/** The ids that the texts of a corpus consist of. */
function usedBy(corpus: Iterable<string>, files: TokenizerFiles): Set<number> {
  const tokenizer = new Tokenizer(files);
  const used = new Set<number>();
  for (const text of corpus) for (const id of tokenizer.encode(text)) used.add(id);
  return used;
}

/** Pieces of English: no letters beyond ASCII, and none of the places that BERT left unused. */
const isWorthKeeping = (piece: string): boolean => /^[!-~]+$/.test(piece) && !/^\[unused\d+\]$/.test(piece);

const inOrder = (vocabulary: Readonly<Record<string, number>>): [piece: string, id: number][] =>
  Object.entries(vocabulary).sort(([, a], [, b]) => a - b);

const wordPiece = z.looseObject({
  type: z.literal('WordPiece'),
  continuing_subword_prefix: z.string().default('##'),
  vocab: z.record(z.string(), z.int()),
});
const templateProcessing = z.looseObject({
  type: z.literal('TemplateProcessing'),
  special_tokens: z.record(z.string(), z.looseObject({ ids: z.array(z.int()) })),
});
type Template = z.infer<typeof templateProcessing>;

function parts({ tokenizer, source }: TokenizerFiles): { model: z.infer<typeof wordPiece>; post: Template } {
  const parsed = z.object({ model: wordPiece, post_processor: templateProcessing }).safeParse(tokenizer);
  if (parsed.success) return { model: parsed.data.model, post: parsed.data.post_processor };
  const { path, message } = parsed.error.issues[0]!;
  throw new ConfigError(
    `${source}: only a WordPiece vocabulary with a template can be pruned or extended: ${path.join('.')}: ${message}`,
  );
}

function asciiCharacters(): string[] {
  return Array.from({ length: 0x7f - 0x21 }, (_, i) => String.fromCharCode(0x21 + i)).filter((c) => !/[A-Z]/.test(c));
}

function renumberTemplate(post: Template, newId: ReadonlyMap<number, number>): TokenizerJson['post_processor'] {
  const entries = Object.entries(post.special_tokens);
  return {
    ...post,
    special_tokens: Object.fromEntries(
      entries.map(([name, token]) => [name, { ...token, ids: token.ids.map((id) => newId.get(id)!) }]),
    ),
  };
}

/** transformers repeats the added tokens, by id, in `added_tokens_decoder`. */
function renumberConfig(
  config: TokenizerFiles['config'],
  newId: ReadonlyMap<number, number>,
): TokenizerFiles['config'] {
  const { added_tokens_decoder: tokens, ...rest } = config;
  if (!tokens) return rest;
  return {
    ...rest,
    added_tokens_decoder: Object.fromEntries(
      Object.entries(tokens).map(([id, token]) => [newId.get(Number(id)), token]),
    ),
  };
}
