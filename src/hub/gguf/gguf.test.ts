import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Tokenizer } from '@huggingface/tokenizers';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { toFloat32 } from '../../core/index.ts';
import { Checkpoint } from '../checkpoint.ts';
import { convertGgufToCheckpoint } from './convert.ts';
import { dequantise, ggmlBytes, ggmlTypes } from './dequantise.ts';
import { GgufFile } from './file.ts';
import { llamaConfig } from './llama.ts';

const testdata = (name: string) => fileURLToPath(new URL(`../testdata/${name}`, import.meta.url));
const tinyLlama = testdata('tiny-llama.gguf');

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gguf-'));
});
afterAll(() => rm(folder, { recursive: true }));

const quants = await (await Checkpoint.open(testdata('quants.safetensors'))).readAll();
const blocks = Object.keys(quants)
  .filter((name) => name.endsWith('.bytes'))
  .map((name) => ({ blocks: name.slice(0, -'.bytes'.length) }));

/** Multiplying in another order may turn 0 into -0. */
const unsignZero = (x: number) => x + 0;

describe('dequantise', () => {
  it('has a fixture for every type', () => {
    expect([...new Set(blocks.map((b) => b.blocks.split('.')[0]))].sort()).toEqual([...ggmlTypes].sort());
  });
  it.each(blocks)("$blocks equals Python's gguf exactly", ({ blocks: name }) => {
    const type = name.split('.')[0]!;
    const bytes = quants[`${name}.bytes`]!.data as Uint8Array;
    const expected = toFloat32(quants[`${name}.values`]!);
    expect(dequantise(type, bytes).map(unsignZero)).toEqual(expected.map(unsignZero));
    expect(ggmlBytes(type, expected.length)).toBe(bytes.length);
  });
  it('refuses elements that do not fill their blocks', () => {
    expect(ggmlBytes('Q4_K', 255)).toBeUndefined();
  });
});

/** The configuration of a Llama whose positions are scaled so, by 4. */
async function scaled(type: string) {
  const file = await GgufFile.open(tinyLlama);
  const [string, number] = [file.string.bind(file), file.number.bind(file)];
  const prefix = 'llama.rope.scaling.';
  vi.spyOn(file, 'has').mockImplementation((key) => key.startsWith(prefix));
  vi.spyOn(file, 'string').mockImplementation((key) => (key.startsWith(prefix) ? type : string(key)));
  vi.spyOn(file, 'number').mockImplementation((key) => (key.startsWith(prefix) ? 4 : number(key)));
  return llamaConfig(file);
}

describe('convertGgufToCheckpoint', () => {
  it('gives the tensors that llama.cpp was given, the rows of queries and keys in their old order', async () => {
    await convertGgufToCheckpoint(tinyLlama, folder);
    const converted = await (await Checkpoint.open(folder)).readAll();
    expect(converted).toEqual(await (await Checkpoint.open(testdata('tiny-llama.safetensors'))).readAll());
  });

  it('writes the config', async () => {
    await convertGgufToCheckpoint(tinyLlama, folder);
    expect(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'))).toMatchObject({
      model_type: 'llama',
      hidden_size: 32,
      intermediate_size: 64,
      num_hidden_layers: 1,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 8,
      rms_norm_eps: 1e-5,
      rope_theta: 12345,
      tie_word_embeddings: false,
      bos_token_id: 1,
      eos_token_id: 0,
    });
  });

  it.each([
    ['none', null],
    ['linear', { rope_type: 'linear', factor: 4 }],
  ])('reads rotary positions that are scaled: %s', async (type, expected) => {
    expect((await scaled(type)).rope_scaling).toEqual(expected);
  });

  it('refuses a scaling that is more than a factor', async () => {
    await expect(scaled('yarn')).rejects.toThrow(
      /tiny-llama\.gguf: .*scaling\.type: expected none or linear, found yarn/,
    );
  });

  it('writes a tokenizer that merges, splits digits and keeps control tokens whole', async () => {
    await convertGgufToCheckpoint(tinyLlama, folder);
    const read = async (name: string) => JSON.parse(await readFile(join(folder, name), 'utf8'));
    const contents = await read('tokenizer.json');
    const tokenizer = new Tokenizer(contents, await read('tokenizer_config.json'));
    const tokens = new Map(Object.entries<number>(contents.model.vocab).map(([token, id]) => [id, token]));
    const tokensOf = (text: string) =>
      tokenizer.encode(text, { add_special_tokens: false }).ids.map((id) => tokens.get(id));
    expect(tokensOf('<|start|>a cat at 12\n<|end|>').join(' ')).toBe('<|start|> a Ġcat Ġ at Ġ 1 2 Ċ <|end|>');
    const text = fc.string({ unit: fc.constantFrom(...'abcz09 \né'), minLength: 1 });
    const asIs = { skip_special_tokens: false, clean_up_tokenization_spaces: false };
    fc.assert(
      fc.property(text, (s) => {
        const { ids } = tokenizer.encode(s, { add_special_tokens: false });
        expect(tokenizer.decode(ids, asIs)).toBe(s);
      }),
    );
  });

  it('leaves no weights behind where a tensor is cut off', async () => {
    const cut = join(folder, 'cut.gguf');
    const whole = await readFile(tinyLlama);
    await writeFile(cut, whole.subarray(0, whole.length - 100));
    const target = join(folder, 'from-cut');
    await expect(convertGgufToCheckpoint(cut, target)).rejects.toThrow(/cut\.gguf: tensor .*truncated/);
    expect(await readdir(folder)).not.toContain('from-cut');
    await writeFile(cut, 'GGUX');
    await expect(convertGgufToCheckpoint(cut, target)).rejects.toThrow(/cut\.gguf: not a readable GGUF file/);
  });

  it('names a metadata field that is missing or of another type', async () => {
    const file = await GgufFile.open(tinyLlama);
    expect(() => file.number('llama.expert_count')).toThrow(
      /field llama\.expert_count: expected a number, found nothing/,
    );
    expect(() => file.number('general.architecture')).toThrow(/expected a number, found a string/);
  });
});
