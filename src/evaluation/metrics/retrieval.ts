import { ShapeError, toFloat32, type Value } from '../../core/index.ts';
import { mean } from './caption-metric.ts';

/** Recall at k in percent: how many queries have a right candidate among their k best. */
export type RecallAtK = Readonly<Record<1 | 5 | 10, number>>;

export interface RetrievalScores {
  /** [I, T]: every image against every text. */
  readonly imageToText: Value;
  /** [T, I]: every text against every image. */
  readonly textToImage: Value;
  /** The row of the image that text t belongs to, for each of the T texts; an image may have several. */
  readonly imageOfText: readonly number[];
}

export interface RetrievalRecall {
  readonly imageToText: RecallAtK;
  readonly textToImage: RecallAtK;
  /** Mean of the six recalls. */
  readonly mean: number;
}

/** Recall@1/5/10 both ways. For an image any of its texts is right; a text has one image. Throws ShapeError. */
export function retrievalRecall(scores: RetrievalScores): RetrievalRecall {
  const { imageToText, textToImage } = retrievalRanks(scores);
  const recall = { imageToText: recallAtK(imageToText), textToImage: recallAtK(textToImage) };
  return { ...recall, mean: mean([...Object.values(recall.imageToText), ...Object.values(recall.textToImage)]) };
}

/** Ranks both ways, as `ranksOf` gives them. */
export function retrievalRanks({ imageToText, textToImage, imageOfText }: RetrievalScores): {
  imageToText: number[];
  textToImage: number[];
} {
  const texts = imageOfText.length;
  const images = imageToText.shape[0] ?? 0;
  expectShape('imageToText', imageToText, [images, texts]);
  expectShape('textToImage', textToImage, [texts, images]);
  return {
    imageToText: ranksOf(imageToText, (image, text) => imageOfText[text] === image),
    textToImage: ranksOf(textToImage, (text, image) => imageOfText[text] === image),
  };
}

function expectShape(name: string, { shape }: Value, expected: readonly number[]): void {
  if (shape.length === expected.length && shape.every((size, i) => size === expected[i])) return;
  throw new ShapeError(`${name}: expected scores of shape [${expected}] (one imageOfText per text), found [${shape}]`);
}

/**
 * For each query, a row of `scores` [queries, candidates], the number of wrong candidates that score at least as high as
 * its best right one: 0 is first. A tie counts against the model, so equal scores for everything do not look like a
 * perfect result; so does NaN. A query without a right candidate has rank Infinity. Where the candidates are texts, a wrong
 * one that is the same string as the right one cannot but score as high: of these the later is first, as in LAVIS.
 */
export function ranksOf(
  scores: Value,
  isRight: (query: number, candidate: number) => boolean,
  texts: readonly string[] = [],
): number[] {
  const [queries, candidates] = scores.shape as [number, number];
  const data = toFloat32(scores);
  return Array.from({ length: queries }, (_, query) => {
    const row = data.subarray(query * candidates, (query + 1) * candidates);
    let best: readonly number[] = []; // the right ones that score highest
    row.forEach((score, c) => {
      if (!isRight(query, c)) return;
      const highest = best.length === 0 ? undefined : row[best[0]!]!;
      if (highest === undefined || score > highest) best = [c];
      else if (score === highest) best = [...best, c];
    });
    if (best.length === 0) return Infinity;
    const target = row[best[0]!]!;
    const isBehind = (c: number) => best.some((right) => c < right && c in texts && texts[c] === texts[right]);
    return row.reduce((rank, score, c) => {
      if (isRight(query, c) || score < target || (score === target && isBehind(c))) return rank;
      return rank + 1;
    }, 0);
  });
}

/** Recall@1/5/10 of queries by their ranks. */
export const recallAtK = (queryRanks: readonly number[]): RecallAtK => ({
  1: recall(queryRanks, 1),
  5: recall(queryRanks, 5),
  10: recall(queryRanks, 10),
});

/** Percent of the queries whose rank is below k. */
const recall = (queryRanks: readonly number[], k: number): number =>
  (100 * queryRanks.filter((rank) => rank < k).length) / queryRanks.length;
