import { describe, expect, it } from 'vitest';
import { bertFiles, closeWordGaps, Tokenizer } from './index.ts';

const words = "a ' - , . man men s t isn dogs bowls snow capped o clock hat rock n roll he ll".split(' ');
const tokenizer = new Tokenizer(bertFiles(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', ...words]));

describe('a caption of word pieces', () => {
  it.each([
    "a man's hat, a men's hat.",
    'a snow-capped hat',
    "he'll, isn't",
    "dogs' bowls, a man",
    "o'clock",
    "rock'n'roll",
  ])('reads as it was written: %s', (text) => {
    const decoded = tokenizer.decode(tokenizer.encode(text));
    expect(decoded).not.toBe(text);
    expect(closeWordGaps(decoded)).toBe(text);
  });

  it.each(['a man - ', "' a man", 'a man -- a hat'])('keeps the gaps that are not between words: %j', (text) => {
    expect(closeWordGaps(text)).toBe(text);
  });
});
