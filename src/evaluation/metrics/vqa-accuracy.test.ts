import fc from 'fast-check';
import { expect, it } from 'vitest';
import { normaliseAnswer, stripPunctuation, vqaAccuracy } from './index.ts';

it('removes no more than 32 periods, as the official code does by mistake', () => {
  expect(stripPunctuation('.'.repeat(40))).toBe('.'.repeat(8));
});

it.each([
  ["Theyd've", "they'd've"],
  ["yall'd've", "y'all'd've"],
  ["somebody'd", 'somebodyd'],
  ['Im', 'im'],
  ['The ten dogs, a cat', '10 dogs cat'],
  ['1,000', '1000'],
  ['red/white', 'red white'],
  ['red / white', 'red white'],
  ['', ''],
])('%s becomes %s', (answer, normalised) => {
  expect(normaliseAnswer(answer)).toBe(normalised);
});

it('counts an answer right that three others gave, and in thirds below that', () => {
  const given = (times: number) => [...Array<string>(times).fill('cat'), ...Array<string>(10 - times).fill('dog')];
  // n of ten people: those n see n − 1 others, the rest see n.
  const expected = (n: number) => 10 * (n * Math.min((n - 1) / 3, 1) + (10 - n) * Math.min(n / 3, 1));
  for (const n of [0, 1, 2, 3, 4, 10]) expect(vqaAccuracy('cat', given(n))).toBeCloseTo(expected(n), 9);
});

it('ignores the order of the references, and lies in [0, 100]', () => {
  const answer = fc.constantFrom('cat', 'Cat', 'a cat', 'two', '2', 'u.s.', 'no!');
  fc.assert(
    fc.property(answer, fc.array(answer, { minLength: 1, maxLength: 10 }), (given, references) => {
      for (const rule of ['official', 'lavis'] as const) {
        const score = vqaAccuracy(given, references, rule);
        expect(score).toBeGreaterThanOrEqual(0);
        expect(score).toBeLessThanOrEqual(100);
        expect(vqaAccuracy(given, [...references].reverse(), rule)).toBeCloseTo(score, 9);
      }
    }),
  );
});

it('refuses a question without reference answers', () => {
  expect(() => vqaAccuracy('cat', [])).toThrow('at least one reference answer');
});
