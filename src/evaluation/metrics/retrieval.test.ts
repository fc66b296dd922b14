import fc from 'fast-check';
import { expect, it } from 'vitest';
import { floats } from '../../core/index.ts';
import { retrievalRanks, retrievalRecall } from './index.ts';

const problem = fc
  .record({ images: fc.integer({ min: 1, max: 8 }), captions: fc.integer({ min: 1, max: 4 }) })
  .chain(({ images, captions }) => {
    const texts = images * captions;
    const matrix = fc.array(fc.double({ min: -1, max: 1, noNaN: true }), {
      minLength: images * texts,
      maxLength: images * texts,
    });
    const imageOfText = Array.from({ length: texts }, (_, t) => Math.floor(t / captions));
    return fc.record({ rows: matrix, columns: matrix }).map(({ rows, columns }) => ({
      imageToText: floats([images, texts], rows),
      textToImage: floats([texts, images], columns),
      imageOfText,
    }));
  });

it('recall rises with k and lies in [0, 100]', () => {
  fc.assert(
    fc.property(problem, (scores) => {
      const { imageToText, textToImage } = retrievalRecall(scores);
      for (const recall of [imageToText, textToImage]) {
        expect(recall[1]).toBeGreaterThanOrEqual(0);
        expect(recall[5]).toBeGreaterThanOrEqual(recall[1]);
        expect(recall[10]).toBeGreaterThanOrEqual(recall[5]);
        expect(recall[10]).toBeLessThanOrEqual(100);
      }
    }),
  );
});

it('ranks depend on the order of the scores alone', () => {
  fc.assert(
    fc.property(problem, (scores) => {
      const doubled = (v: typeof scores.imageToText) =>
        floats(
          v.shape,
          v.data.map((s) => s * 2),
        );
      const moved = { ...scores, imageToText: doubled(scores.imageToText), textToImage: doubled(scores.textToImage) };
      expect(retrievalRanks(moved)).toEqual(retrievalRanks(scores));
    }),
  );
});

it("takes the best of an image's captions", () => {
  const scores = {
    imageToText: floats([2, 4], [0.1, 0.9, 0.5, 0.2, 0.8, 0.7, 0.6, 0.1]),
    textToImage: floats([4, 2], [1, 0, 0, 1, 0, 1, 1, 0]),
    imageOfText: [0, 0, 1, 1],
  };
  expect(retrievalRanks(scores)).toEqual({ imageToText: [0, 2], textToImage: [0, 1, 0, 1] });
  expect(retrievalRecall(scores)).toEqual({
    imageToText: { 1: 50, 5: 100, 10: 100 },
    textToImage: { 1: 50, 5: 100, 10: 100 },
    mean: expect.closeTo(500 / 6),
  });
});

it.each([0.5, NaN])('scores of nothing but %d are the worst result, not the best', (score) => {
  const n = 12;
  const all = floats([n, n], new Array<number>(n * n).fill(score));
  const { mean } = retrievalRecall({ imageToText: all, textToImage: all, imageOfText: [...Array(n).keys()] });
  expect(mean).toBe(0);
});

it('an image without a caption is never found', () => {
  const scores = { imageToText: floats([2, 1], [1, 1]), textToImage: floats([1, 2], [1, 0]), imageOfText: [0] };
  expect(retrievalRanks(scores).imageToText).toEqual([0, Infinity]);
});

it('says which scores do not fit', () => {
  const scores = {
    imageToText: floats([2, 2], [1, 0, 0, 1]),
    textToImage: floats([1, 2], [1, 0]),
    imageOfText: [0, 1],
  };
  expect(() => retrievalRecall(scores)).toThrow('textToImage: expected scores of shape [2,2]');
});
