import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { floats } from '../../core/index.ts';
import { bestByCosine, ranksAnew, ranksByCosine, recallOf, type Scores, textsOf } from './recall.ts';

/** Three images, two texts; the first text belongs to the first two images. */
const shared: Scores = {
  itc: floats([3, 2], [0.9, 0.1, 0.2, 0.8, 0.7, 0.6]),
  isPair: (image, text) => (text === 0 ? image < 2 : image === 2),
  texts: ['a', 'b'],
};

/** Cosines without ties, and pairs at random of which every row and every column has one. */
const problems = fc.integer({ min: 1, max: 12 }).chain((n) =>
  fc.record({
    itc: fc.shuffledSubarray([...Array(n * n).keys()], { minLength: n * n }).map((order) =>
      floats(
        [n, n],
        order.map((x) => x / (n * n)),
      ),
    ),
    others: fc.array(fc.boolean(), { minLength: n * n, maxLength: n * n }),
    k: fc.integer({ min: 1, max: n }),
  }),
);
const scoresOf = ({ itc, others }: { itc: Scores['itc']; others: boolean[] }): Scores => ({
  itc,
  isPair: (image, text) => image === text || others[image * itc.shape[1]! + text]!,
  texts: [...Array(itc.shape[1]).keys()].map(String),
});

describe('recall by cosine', () => {
  it('takes any image of a text, and any text of an image', () => {
    // Texts: the first image finds its own first, the others find the wrong one first. Images: the first text finds the
    // first image, the second finds the second, which is wrong, before the third.
    expect(recallOf(ranksByCosine(shared))).toEqual({
      txt_r1: expect.closeTo(100 / 3),
      txt_r5: 100,
      txt_r10: 100,
      img_r1: 50,
      img_r5: 100,
      img_r10: 100,
    });
  });

  it("counts another picture's equal caption once for the two pictures, as LAVIS does", () => {
    const { texts, isPair } = textsOf([['a cat'], ['a cat'], ['a dog']], { merged: false });
    const itc = floats([3, 3], [0.9, 0.9, 0.1, 0.8, 0.8, 0.2, 0.3, 0.3, 0.7]);
    expect(recallOf(ranksByCosine({ itc, isPair, texts })).txt_r1).toBeCloseTo(200 / 3);
    // Equal scores of different texts say that the model cannot tell them apart.
    expect(recallOf(ranksByCosine({ itc, isPair, texts: ['a cat', 'a pet', 'a dog'] })).txt_r1).toBeCloseTo(100 / 3);
  });

  it('needs no such rule where equal captions are merged', () => {
    const { texts, isPair } = textsOf([['a cat'], ['a cat'], ['a dog']], { merged: true });
    expect(texts).toEqual(['a cat', 'a dog']);
    const itc = floats([3, 2], [0.9, 0.1, 0.8, 0.2, 0.3, 0.7]);
    expect(recallOf(ranksByCosine({ itc, isPair, texts })).txt_r1).toBe(100);
  });
});

describe('the best by cosine', () => {
  it('are those of both directions, image by image', () => {
    expect(bestByCosine(shared.itc, 1)).toEqual({
      ofImage: [new Set([0]), new Set([1]), new Set([0])],
      ofText: [new Set([0]), new Set([1])],
      pairs: [
        { image: 0, text: 0 },
        { image: 1, text: 1 },
        { image: 2, text: 0 },
      ],
    });
  });

  it('are no fewer than k of every query, and none scores below one left out', () => {
    fc.assert(
      fc.property(problems, ({ itc, k }) => {
        const [images, texts] = itc.shape as [number, number];
        const { ofImage } = bestByCosine(itc, k);
        for (let image = 0; image < images; image++) {
          const row = [...itc.data.subarray(image * texts, (image + 1) * texts)];
          const best = ofImage[image]!;
          expect(best.size).toBe(k);
          const lowest = Math.min(...[...best].map((text) => row[text]!));
          expect(row.filter((score) => score >= lowest)).toHaveLength(k);
        }
      }),
    );
  });
});

describe('recall of what is ranked anew', () => {
  it('is that of the cosines where these rank again, up to k', () => {
    fc.assert(
      fc.property(problems, (problem) => {
        const scores = scoresOf(problem);
        const candidates = bestByCosine(scores.itc, problem.k);
        const again = candidates.pairs.map(({ image, text }) => scores.itc.data[image * scores.itc.shape[1]! + text]!);
        const [before, after] = [recallOf(ranksByCosine(scores)), recallOf(ranksAnew(scores, candidates, again))];
        for (const depth of [1, 5, 10].filter((each) => each <= problem.k)) {
          expect(after[`txt_r${depth}`]).toBe(before[`txt_r${depth}`]);
          expect(after[`img_r${depth}`]).toBe(before[`img_r${depth}`]);
        }
      }),
    );
  });

  it('finds first whatever is right among the best, given a perfect score, and nothing that is not', () => {
    fc.assert(
      fc.property(problems, (problem) => {
        const scores = scoresOf(problem);
        const [images, texts] = scores.itc.shape as [number, number];
        const candidates = bestByCosine(scores.itc, problem.k);
        const { ofImage, ofText, pairs } = candidates;
        const perfect = pairs.map(({ image, text }) => (scores.isPair(image, text) ? 1 : 0));
        const found = recallOf(ranksAnew(scores, candidates, perfect));
        const percent = (count: number, n: number, has: (i: number) => boolean) =>
          (100 * Array.from({ length: n }, (_, i) => i).filter(has).length) / count;
        expect(found.txt_r1).toBeCloseTo(
          percent(images, images, (i) => [...ofImage[i]!].some((t) => scores.isPair(i, t))),
        );
        expect(found.img_r1).toBeCloseTo(
          percent(texts, texts, (t) => [...ofText[t]!].some((i) => scores.isPair(i, t))),
        );
      }),
    );
  });
});
