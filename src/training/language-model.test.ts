import { expect, it } from 'vitest';
import { toNumbers } from '../core/index.ts';
import { bertFiles } from '../text/index.ts';
import { languageModelOf, tokeniseTexts } from './language-model.ts';

const pieces = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'cat', 'sits', 'here'];
const [PAD, CLS, SEP, A, CAT, SITS, HERE] = [0, 2, 3, 5, 6, 7, 8];
const files = bertFiles(pieces);
const of = (config: Record<string, unknown>) =>
  languageModelOf({ config: { vocab_size: 9, eos_token_id: 4, ...config }, state: new Map(), files });
const decoder = of({
  model_type: 'llama',
  hidden_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 1,
  intermediate_size: 8,
});
const encoderDecoder = of({ model_type: 't5', d_model: 8, d_kv: 8, d_ff: 8, num_layers: 1, num_heads: 1 });
const END = 4;

const lists = ({ shape, ...v }: { shape: readonly number[] } & Parameters<typeof toNumbers>[0]) => {
  const all = toNumbers({ shape, ...v });
  return Array.from({ length: shape[0]! }, (_, i) => all.slice(i * shape[1]!, (i + 1) * shape[1]!));
};
const texts = [
  { prompt: 'a cat', target: 'sits here' },
  { prompt: 'a', target: 'cat' },
  { prompt: 'a', target: undefined },
];

it('gives a decoder prompt, target and its end in one sequence, with loss after the prompt', () => {
  const rows = tokeniseTexts(decoder, texts, 12);
  expect(rows.length).toBe(7);
  const { inputIds, attentionMask, labels } = rows.padTo(8);
  expect(lists(inputIds)).toEqual([
    [CLS, A, CAT, SEP, SITS, HERE, END, PAD],
    [CLS, A, SEP, CAT, END, PAD, PAD, PAD],
    [CLS, A, SEP, PAD, PAD, PAD, PAD, PAD],
  ]);
  expect(lists(attentionMask)[1]).toEqual([1, 1, 1, 1, 1, 0, 0, 0]);
  expect(lists(labels)).toEqual([
    [-100, -100, -100, -100, SITS, HERE, END, -100],
    [-100, -100, -100, CAT, END, -100, -100, -100],
    Array(8).fill(-100),
  ]);
});

it('gives the encoder of an encoder-decoder the prompt, and its decoder the target', () => {
  const { inputIds, attentionMask, labels } = tokeniseTexts(encoderDecoder, texts, 12).padTo(4);
  expect(lists(inputIds)).toEqual([
    [CLS, A, CAT, SEP],
    [CLS, A, SEP, PAD],
    [CLS, A, SEP, PAD],
  ]);
  expect(lists(attentionMask)).toEqual([
    [1, 1, 1, 1],
    [1, 1, 1, 0],
    [1, 1, 1, 0],
  ]);
  expect(lists(labels)).toEqual([
    [CLS, SITS, HERE, SEP],
    [CLS, CAT, SEP, -100],
    [-100, -100, -100, -100],
  ]);
});

it('learns the first token, too, where there is no prompt', () => {
  const { inputIds, labels } = tokeniseTexts(decoder, [{ prompt: '', target: 'cat' }], 12).padTo(4);
  expect(lists(inputIds)).toEqual([[CLS, SEP, CAT, END]]);
  expect(lists(labels)).toEqual(lists(inputIds));
});

it('cuts a long prompt at its beginning and a long target at its end, which has not ended then', () => {
  const long = [{ prompt: 'a cat a cat sits', target: 'here here here' }];
  const { inputIds, labels } = tokeniseTexts(decoder, long, 7).padTo(7);
  expect(lists(inputIds)).toEqual([[CLS, A, CAT, SITS, SEP, HERE, HERE]]);
  expect(lists(labels)).toEqual([[-100, -100, -100, -100, -100, HERE, HERE]]);
});
