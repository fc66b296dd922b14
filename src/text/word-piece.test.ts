import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigError } from '../core/index.ts';
import {
  bertFiles,
  extendWordPiece,
  pruneWordPiece,
  readTokenizerFiles,
  Tokenizer,
  type TokenizerFiles,
  withSpecialToken,
} from './index.ts';

const characters = Array.from('abcdefghij0123.!?');
const words = ['ab', 'abc', 'cab', 'bed', 'face', 'a1', 'bad', 'deaf'];
const pieces = [
  ...['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', '你'],
  ...[...characters, ...words].flatMap((piece) => [piece, `##${piece}`]),
];
const files = withSpecialToken(bertFiles(pieces), 'bos', '[DEC]');
const text = fc.stringMatching(/^([a-j]{1,9}[ .!?]?|[0-3]{1,3} ){0,6}$/);

/** What holds for any corpus: same pieces on it, same pieces' old ids, every special token, smaller or equal. */
function expectFaithful(files: TokenizerFiles, corpus: readonly string[]): void {
  const pruned = pruneWordPiece(files, corpus);
  const before = new Tokenizer(files);
  const after = new Tokenizer(pruned.files);
  expect(after.vocabularySize).toBe(pruned.kept.length);
  for (const sentence of corpus) {
    expect(after.encode(sentence).map((id) => pruned.kept[id])).toEqual(before.encode(sentence));
  }
  for (const [id, old] of pruned.kept.entries()) expect(after.piece(id)).toBe(before.piece(old));
  const old = Object.entries(after.special).map(([role, id]) => [role, id === undefined ? id : pruned.kept[id]]);
  expect(Object.fromEntries(old)).toEqual(before.special);
}

describe('pruneWordPiece', () => {
  it('splits its corpus as before', () => {
    fc.assert(fc.property(fc.array(text, { maxLength: 5 }), (corpus) => expectFaithful(files, corpus)));
  });
  it('can still write any word: never an unknown token for letters it had', () => {
    const after = new Tokenizer(pruneWordPiece(files, ['a bed']).files);
    fc.assert(
      fc.property(text, (sentence) => {
        const ids = after.encode(sentence);
        expect(ids).not.toContain(after.require('unk'));
        expect(after.decode(ids).replaceAll(' ', '')).toBe(sentence.replaceAll(' ', ''));
      }),
    );
  });
  it('drops what the corpus does not use', () => {
    const { kept, vocabulary, files: pruned } = pruneWordPiece(files, ['a bed']);
    const lines = vocabulary.trimEnd().split('\n');
    expect(lines).toContain('bed');
    expect(lines).not.toContain('face');
    expect(lines).not.toContain('你');
    expect(lines.length).toBe(kept.length - 1); // [DEC] stands after the vocabulary
    expect(pruned.tokenizer.truncation).toBeNull();
    expect(pruned.tokenizer.padding).toBeNull();
  });
  it('refuses other kinds of tokenizers', () => {
    const bpe = { ...files, tokenizer: { ...files.tokenizer, model: { type: 'BPE' as const, vocab: {}, merges: [] } } };
    expect(() => pruneWordPiece(bpe, [])).toThrow(ConfigError);
    expect(() => pruneWordPiece(bpe, [])).toThrow(/only a WordPiece vocabulary.*model\.type/);
  });
});

describe('extendWordPiece', () => {
  it('gives back what was pruned: every text is split as the larger vocabulary splits it, and own ids stay', () => {
    const { files: pruned } = pruneWordPiece(files, ['a bed']);
    const { files: extended, added } = extendWordPiece(pruned, files);
    const [before, small, after] = [new Tokenizer(files), new Tokenizer(pruned), new Tokenizer(extended)];
    expect(after.vocabularySize).toBe(small.vocabularySize + added.length);
    for (let id = 0; id < small.vocabularySize; id++) expect(after.piece(id)).toBe(small.piece(id));
    for (const [i, id] of added.entries()) expect(after.piece(small.vocabularySize + i)).toBe(before.piece(id));
    expect(after.special).toEqual(small.special);
    const split = (tokenizer: Tokenizer, sentence: string) =>
      tokenizer.encode(sentence).map((id) => tokenizer.piece(id));
    expect(split(small, 'face')).not.toEqual(split(before, 'face'));
    fc.assert(
      fc.property(text, (sentence) => {
        expect(split(after, sentence)).toEqual(split(before, sentence));
      }),
    );
  });
  it('takes neither letters beyond ASCII nor unused places', () => {
    const larger = bertFiles([...pieces, '[unused0]', 'müde', 'zebra']);
    const { added, files: extended } = extendWordPiece(pruneWordPiece(files, ['a bed']).files, larger);
    expect(added).toContain(pieces.length + 2);
    expect(Object.keys(extended.tokenizer.model.vocab)).not.toContain('[unused0]');
    expect(Object.keys(extended.tokenizer.model.vocab)).not.toContain('müde');
    expect(Object.keys(extended.tokenizer.model.vocab)).not.toContain('你');
  });
});

const minilm = resolve('../shared/minilm');
const dataset = resolve('../shared/dataset/data.jsonl');

it.skipIf(!existsSync(minilm) || !existsSync(dataset))(
  "prunes MiniLM's vocabulary to the data set's captions",
  async () => {
    const lines = (await readFile(dataset, 'utf8')).trimEnd().split('\n');
    const captions = lines.map((line): string => JSON.parse(line).caption);
    const [bert, ours] = [await readTokenizerFiles(minilm), captions.filter((_, i) => i % 10 === 0)];
    expectFaithful(withSpecialToken(bert, 'bos', '[DEC]'), ours);
  },
);
