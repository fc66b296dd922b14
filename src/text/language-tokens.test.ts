/** Tokenizers of newer language models, against transformers (testdata/make_tokenizers.py). */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ConfigError } from '../core/index.ts';
import { languageTokens, readTokenizer, Tokenizer } from './index.ts';

interface Expected {
  readonly special: Readonly<Record<'bos' | 'eos' | 'pad', number | null>>;
  readonly texts: readonly { readonly text: string; readonly ids: number[]; readonly decoded: string }[];
}

const testdata = new URL('testdata/', import.meta.url);
const recorded: Record<string, Expected> = JSON.parse(await readFile(new URL('tokenizers.json', testdata), 'utf8'));

describe.each(Object.entries(recorded))('%s', async (name, { special, texts }) => {
  const tokenizer = await readTokenizer(fileURLToPath(new URL(name, testdata)));

  it('has the special tokens, and no others', () => {
    const { bos = null, eos = null, pad = null } = tokenizer.special;
    expect({ bos, eos, pad }).toEqual(special);
  });

  it.each(texts)('reads $text', ({ text, ids, decoded }) => {
    expect(tokenizer.encode(text)).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(decoded);
  });

  it('goes on from a prompt as both are read together', () => {
    const [whole, prompt] = [
      "Question: what's in the photo? Answer: two dogs",
      "Question: what's in the photo? Answer:",
    ];
    const start = tokenizer.encode(prompt);
    expect([...start, ...tokenizer.encodeAfter(prompt, 'two dogs')]).toEqual(tokenizer.encode(whole));
  });
});

describe("a language model's tokens", async () => {
  const of = (name: string) => readTokenizer(fileURLToPath(new URL(name, testdata)));
  const qwen = await of('qwen2');
  const llama = await of('llama3');
  const id = (tokenizer: Tokenizer, piece: string) => tokenizer.id(piece);

  it('are where the tokenizer begins with nothing those of the configuration', () => {
    const [start, end] = [id(qwen, '<|endoftext|>'), id(qwen, '<|im_end|>')];
    const config = { bos_token_id: start!, eos_token_id: [end!, start!] };
    expect(languageTokens(config, qwen)).toEqual({ startToken: start, endTokens: [end, start], padToken: start });
  });

  it('begin where another text ends if nothing says how', () => {
    const end = id(qwen, '<|im_end|>');
    expect(languageTokens({ bos_token_id: null }, qwen)).toMatchObject({ startToken: end, endTokens: [end] });
  });

  it('pad with an end where there is no padding', () => {
    const [start, end] = [id(llama, '<|begin_of_text|>'), id(llama, '<|end_of_text|>')];
    expect(languageTokens({}, llama)).toEqual({ startToken: start, endTokens: [end], padToken: end });
  });

  it('have to end', () => {
    const bare = Tokenizer.fromJson(qwen.files.tokenizer, {}, 'bare');
    expect(() => languageTokens({}, bare)).toThrow(ConfigError);
    expect(() => languageTokens({}, bare)).toThrow(/^bare: expected a eos_token/);
  });
});
