import fc from 'fast-check';
import { expect, it } from 'vitest';
import { random } from '../../core/index.ts';
import { splitCaption } from './stage-two.ts';

const words = fc.array(fc.constantFrom('a', 'red', 'cat', 'above', 'two'), { minLength: 1, maxLength: 8 });

it('cuts a caption in two between words, and leaves something to write', () => {
  fc.assert(
    fc.property(words, fc.nat(), fc.nat(99), (list, seed, index) => {
      const caption = list.join(' ');
      const { prompt, targets } = splitCaption(caption, '', random(seed, index));
      expect([prompt, ...targets.map(({ text }) => text)].filter(Boolean).join(' ')).toBe(caption);
      expect(targets[0]!.text).not.toBe('');
    }),
  );
});

it('puts the prompt before the prefix', () => {
  const { prompt, targets } = splitCaption('cat', 'a photo of', random(1, 'x'));
  expect([prompt, targets[0]!.text]).toEqual(['a photo of', 'cat']);
});
