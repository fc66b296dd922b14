import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CheckpointError, ConfigError, toNumbers } from '../core/index.ts';
import { bertFiles, blip2Prompt, checkVocabulary, readTokenizer, Tokenizer, withSpecialToken } from './index.ts';

const pieces = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'red', 'apple', '##s', '.'];
const files = bertFiles(pieces);
const tokenizer = new Tokenizer(files);

describe('encoding', () => {
  it('truncates between the special tokens', () => {
    expect(tokenizer.encode('a red apple')).toEqual([2, 5, 6, 7, 3]);
    expect(tokenizer.encode('a red apple', { maxLength: 4 })).toEqual([2, 5, 6, 3]);
    expect(tokenizer.encode('a red apple', { maxLength: 4, truncationSide: 'left' })).toEqual([2, 6, 7, 3]);
    expect(tokenizer.encode('a red apple', { maxLength: 2, addSpecialTokens: false })).toEqual([5, 6]);
  });
  it('pads to the longest text, or further', () => {
    const batch = tokenizer.encodeBatch(['apples', 'a'], { padTo: 5 });
    expect(batch.inputIds.shape).toEqual([2, 5]);
    expect(toNumbers(batch.inputIds)).toEqual([2, 7, 8, 3, 0, 2, 5, 3, 0, 0]);
    expect(toNumbers(batch.attentionMask)).toEqual([1, 1, 1, 1, 0, 1, 1, 1, 0, 0]);
    const left = tokenizer.encodeBatch(['apples', 'a'], { paddingSide: 'left' });
    expect(toNumbers(left.inputIds)).toEqual([2, 7, 8, 3, 0, 2, 5, 3]);
    expect(toNumbers(left.attentionMask)).toEqual([1, 1, 1, 1, 0, 1, 1, 1]);
  });
  it('asks for a padding token only where it pads', () => {
    const bare = Tokenizer.fromJson({ ...files.tokenizer, added_tokens: [] }, {}, 'bare');
    expect(bare.encodeBatch(['a', 'red']).inputIds.shape).toEqual([2, 3]);
    expect(() => bare.encodeBatch(['a', 'apples'])).toThrow(/^bare: expected a pad_token/);
  });
});

describe('a text after a prompt', () => {
  /** Llama's: every text begins with a blank of the tokenizer's own. */
  const pieces = ['<unk>', '▁', 'a', 'c', 't', 'o', 'n', 'e', 'w', 'at', '▁c', '▁cat', '▁a', '▁t', 'wo', '▁two'];
  const llama = Tokenizer.fromJson({
    added_tokens: [],
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
    model: {
      type: 'BPE',
      unk_token: '<unk>',
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
      merges: ['a t', '▁ c', '▁c at', '▁ a', '▁ t', 'w o', '▁t wo'],
    },
  });
  const pieceOf = (id: number) => llama.piece(id);

  it('has the ids that follow those of the prompt in both together', () => {
    const bare = { addSpecialTokens: false };
    for (const each of [tokenizer, llama]) {
      for (const prompt of ['', 'a', 'two', 'a red']) {
        for (const text of ['a', 'cat', 'two apples', 'a cat.']) {
          const whole = each.encode(prompt === '' ? text : `${prompt} ${text}`, bare);
          expect([...each.encode(prompt, bare), ...each.encodeAfter(prompt, text)]).toEqual(whole);
        }
      }
    }
    expect(llama.encodeAfter('two', 'cat').map(pieceOf)).toEqual(['▁cat']); // one blank, not two
  });
  it('is read on its own where the prompt ends within a piece', () => {
    expect(llama.encodeAfter('two ', 'cat').map(pieceOf)).toEqual(['▁cat']);
    expect(llama.encode('two ').map(pieceOf)).toEqual(['▁two', '▁']);
  });
});

describe('decoding', () => {
  it('skips special tokens unless told otherwise, and ids beyond the vocabulary always', () => {
    expect(tokenizer.decode([2, 5, 7, 8, 9999, 9, 3])).toBe('a apples.');
    expect(tokenizer.decode([2, 5, 3], { skipSpecialTokens: false })).toBe('[CLS] a [SEP]');
    expect(tokenizer.decode(BigInt64Array.of(6n, 7n))).toBe('red apple');
    expect(tokenizer.decode([])).toBe('');
  });
});

it('adds [DEC] at the end of the vocabulary, once', () => {
  const once = withSpecialToken(files, 'bos', '[DEC]');
  expect(new Tokenizer(once).special.bos).toBe(pieces.length);
  expect(new Tokenizer(once).vocabularySize).toBe(pieces.length + 1);
  expect(new Tokenizer(once).decode([pieces.length, 5])).toBe('a');
  expect(withSpecialToken(once, 'bos', '[DEC]')).toEqual(once);
});

it('refuses an embedding that is smaller than the vocabulary', () => {
  expect(() => checkVocabulary(tokenizer, 'word_embeddings.weight', pieces.length)).not.toThrow();
  const check = () => checkVocabulary(tokenizer, 'word_embeddings.weight', pieces.length - 1);
  expect(check).toThrow(CheckpointError);
  expect(check).toThrow(/ids up to 9, but word_embeddings\.weight has 9 rows/);
});

describe('blip2Prompt', () => {
  const image = new Tokenizer({
    ...files,
    tokenizer: {
      ...files.tokenizer,
      added_tokens: [
        ...files.tokenizer.added_tokens,
        { ...files.tokenizer.added_tokens[0]!, id: 10, content: '<image>' },
      ],
    },
  });
  it('counts the image tokens in the lengths', () => {
    const prompt = blip2Prompt(image, ['a red apple', 'a'], { queries: 3, maxLength: 7, padTo: 8 });
    expect(prompt.inputIds.shape).toEqual([2, 8]);
    expect(toNumbers(prompt.inputIds)).toEqual([10, 10, 10, 2, 5, 6, 3, 0, 10, 10, 10, 2, 5, 3, 0, 0]);
    expect(toNumbers(prompt.attentionMask)).toEqual([1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 0]);
  });
  it('needs an image token', () => {
    expect(() => blip2Prompt(tokenizer, ['a'], { queries: 3 })).toThrow(/expected the token <image>, found none/);
  });
});

describe('a folder', () => {
  let folder: string;
  const write = (name: string, text: string) => writeFile(join(folder, name), text);
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tokenizer-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('may hold a vocab.txt alone', async () => {
    await expect(readTokenizer(folder)).rejects.toThrow(/expected a tokenizer .*, found neither/);
    await write('vocab.txt', `${pieces.join('\n')}\n`);
    expect((await readTokenizer(folder)).encode('red apples.')).toEqual([2, 6, 7, 8, 9, 3]);
    await write('vocab.txt', 'a\nb\n');
    await expect(readTokenizer(folder)).rejects.toThrow(/expected the piece \[PAD\] in the vocabulary/);
  });
  it('is refused by file and field', async () => {
    const config = join(folder, 'tokenizer_config.json');
    await write('tokenizer.json', JSON.stringify(files.tokenizer));
    await write('tokenizer_config.json', '{"padding_side": "top"}');
    await expect(readTokenizer(folder)).rejects.toThrow(`${config}: padding_side: `);
    await write('tokenizer_config.json', '{"padding_side"');
    await expect(readTokenizer(folder)).rejects.toThrow(`${config}: expected JSON, but `);
    await write('tokenizer_config.json', '{}');
    await write('tokenizer.json', JSON.stringify({ ...files.tokenizer, model: { type: 'WordLevel' } }));
    const error = await readTokenizer(folder).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ConfigError);
    expect(String(error)).toContain(`${join(folder, 'tokenizer.json')}: model.type: `);
  });
  it('takes special tokens from special_tokens_map.json where the configuration names none', async () => {
    await write('tokenizer.json', JSON.stringify(files.tokenizer));
    await write('tokenizer_config.json', '{"pad_token": "[UNK]"}');
    await write('special_tokens_map.json', '{"pad_token": "[PAD]", "cls_token": {"content": "[MASK]"}}');
    expect((await readTokenizer(folder)).special).toMatchObject({ pad: 1, cls: 4 });
  });
  it("knows BERT's special tokens where no file names them, as BERT's own does not", async () => {
    await write('tokenizer.json', JSON.stringify(files.tokenizer));
    await write('tokenizer_config.json', '{"do_lower_case": true}');
    await rm(join(folder, 'special_tokens_map.json'), { force: true });
    expect((await readTokenizer(folder)).special).toMatchObject({ pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 });
  });
});
