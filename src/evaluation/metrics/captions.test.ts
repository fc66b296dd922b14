import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CaptionSample, captionLikelihood, captionMetrics, headNoun, scoreCaptions } from './index.ts';

const { cider, bleu, 'rouge-l': rougeL } = captionMetrics;

const caption = fc
  .array(fc.constantFrom('a', 'the', 'red', 'cat', 'dog', 'on', 'table', 'two'), { minLength: 1, maxLength: 8 })
  .map((words) => words.join(' '));
const samples = (references: { minLength: number; maxLength: number }) =>
  fc.array(fc.record({ candidate: caption, references: fc.array(caption, references) }), {
    minLength: 2,
    maxLength: 8,
  });
const single = samples({ minLength: 1, maxLength: 1 });
const several = samples({ minLength: 1, maxLength: 4 });
const itself = (sample: CaptionSample): CaptionSample => ({ ...sample, candidate: sample.references[0]! });

describe('CIDEr', () => {
  it('no caption scores above the only reference itself', () => {
    fc.assert(
      fc.property(single, (set) => {
        const best = cider.score(set.map(itself)).perSample.CIDEr!;
        cider.score(set).perSample.CIDEr!.forEach((score, i) => {
          expect(score).toBeLessThanOrEqual(best[i]! + 1e-9);
        });
      }),
    );
  });

  it('is 10 for the reference itself, where every order has an n-gram that others lack', () => {
    const { perSample } = cider.score([
      { candidate: 'one cat sat here', references: ['one cat sat here'] },
      { candidate: 'two dogs ran away', references: ['two dogs ran away'] },
    ]);
    expect(perSample.CIDEr).toEqual([expect.closeTo(10, 9), expect.closeTo(10, 9)]);
  });

  it('gives no credit for saying a word more often than the reference', () => {
    const score = (candidate: string) =>
      cider.score([
        { candidate, references: ['cat sat'] },
        { candidate: 'dog', references: ['dog'] },
      ]).perSample.CIDEr![0]!;
    expect(score('cat cat')).toBeLessThan(score('cat sat'));
  });
});

describe('BLEU and ROUGE-L', () => {
  it('lie in [0, 1], and a reference itself scores 1 as far as it has n-grams', () => {
    fc.assert(
      fc.property(several, (set) => {
        for (const metric of [bleu, rougeL]) {
          for (const score of Object.values(metric.score(set).perSample).flat()) {
            expect(score).toBeGreaterThanOrEqual(0);
            expect(score).toBeLessThanOrEqual(1 + 1e-9);
          }
        }
        expect(Math.min(...rougeL.score(set.map(itself)).perSample.ROUGE_L!)).toBeCloseTo(1, 9);
        expect(Math.min(...bleu.score(set.map(itself)).perSample.Bleu_1!)).toBeCloseTo(1, 6);
      }),
    );
  });

  it('BLEU clips repeated words (Papineni et al., example 2) and penalises short captions', () => {
    const { corpus } = bleu.score([
      {
        candidate: 'the the the the the the the',
        references: ['the cat is on the mat', 'there is a cat on the mat'],
      },
    ]);
    expect(corpus.Bleu_1).toBeCloseTo(2 / 7, 6);
    const short = bleu.score([{ candidate: 'the cat', references: ['the cat is on the mat'] }]);
    expect(short.corpus.Bleu_1).toBeCloseTo(Math.exp(1 - 6 / 2), 6);
  });

  it('ROUGE-L follows the order of words (Lin, section 3.1)', () => {
    const score = (candidate: string) =>
      rougeL.score([{ candidate, references: ['police killed the gunman'] }]).corpus.ROUGE_L!;
    expect(score('police kill the gunman')).toBeCloseTo(3 / 4, 9);
    expect(score('the gunman kill police')).toBeCloseTo(2 / 4, 9);
  });
});

it('every metric ignores the order of the samples and of the references', () => {
  fc.assert(
    fc.property(several, (set) => {
      const reversed = set.map((s) => ({ ...s, references: [...s.references].reverse() })).reverse();
      const [ours, theirs] = [scoreCaptions(set).corpus, scoreCaptions(reversed).corpus];
      for (const [name, score] of Object.entries(ours)) expect(theirs[name]).toBeCloseTo(score, 9);
    }),
  );
});

it('scores only the metrics asked for', () => {
  const { corpus } = scoreCaptions([{ candidate: 'A cat.', references: ['a cat'] }], ['rouge-l']);
  expect(corpus).toEqual({ ROUGE_L: 1 });
});

it('names what is missing', () => {
  expect(() => scoreCaptions([])).toThrow('at least one caption');
  expect(() => scoreCaptions([{ candidate: 'a cat', references: [] }])).toThrow('sample 0 has no reference');
});

describe('head nouns', () => {
  it.each([
    ['a black and white drawing of a spaghetti and sauce', 'spaghetti'],
    ['a smiling face with horns', 'smiling'],
    ['a face with tears of joy', 'face'],
    ['a full moon face', 'face'],
    ['a pair of blue jeans with patches', 'jeans'],
    ['a bouquet of flowers', 'bouquet'],
    ['a hard candy, yum', 'candy'],
    ["a ginger 'root'", 'root'],
    ['a tux and spider - two friends', 'tux'],
    ['a canadian 10 cent piece called a dime', 'piece'],
    ['a divided by', 'by'],
    ['no bicycles', 'bicycles'],
  ])('%s: %s, as in the data set', (text, noun) => {
    expect(headNoun(text)).toBe(noun);
  });

  it('match in percent of captions, and exact matches beside them', () => {
    const { corpus } = scoreCaptions(
      [
        { candidate: 'A red apple', references: ['a green apple on a plate'] },
        { candidate: 'A cat', references: ['a dog', 'a cat'] },
        { candidate: 'a cat', references: ['a dog'] },
        { candidate: 'a dog face', references: ['a cat face'] },
      ],
      ['head-noun'],
    );
    expect(corpus).toEqual({ noun_match: 50, exact_match: 25 });
  });
});

it('caption likelihood averages over tokens, not captions', () => {
  const { meanLogLikelihood, perplexity, perCaption } = captionLikelihood([
    [Math.log(0.5), Math.log(0.5), Math.log(0.25)],
    [Math.log(0.125)],
  ]);
  expect(perCaption).toEqual([expect.closeTo(Math.log(1 / 16)), expect.closeTo(Math.log(1 / 8))]);
  expect(meanLogLikelihood).toBeCloseTo(Math.log(1 / 128) / 4);
  expect(perplexity).toBeCloseTo(128 ** 0.25);
  expect(() => captionLikelihood([[]])).toThrow('at least one token');
});
