import { type CaptionMetric, type CaptionScores, meanScores } from './caption-metric.ts';

/** Recall counts β² times as much as precision. */
const beta = 1.2;

/**
 * ROUGE-L (Lin, ACL workshop 2004) as pycocoevalcap computes it: the F-measure of the best precision and the best
 * recall that any reference gives, by longest common subsequence. An empty caption counts as one empty word.
 */
export const rougeL: CaptionMetric = {
  reads: 'tokens',
  score(samples): CaptionScores {
    const scores = samples.map(({ candidate, references }) => {
      const words = candidate.split(' ');
      const lengths = references.map((reference) => {
        const its = reference.split(' ');
        return { common: longestCommonSubsequence(words, its), total: its.length };
      });
      const precision = Math.max(...lengths.map(({ common }) => common / words.length));
      const recall = Math.max(...lengths.map(({ common, total }) => common / total));
      return precision === 0 ? 0 : ((1 + beta ** 2) * precision * recall) / (recall + beta ** 2 * precision);
    });
    return meanScores('ROUGE_L', scores);
  },
};

function longestCommonSubsequence(a: readonly string[], b: readonly string[]): number {
  let row = new Array<number>(b.length + 1).fill(0);
  for (const word of a) {
    const next = [0];
    for (let j = 1; j <= b.length; j++) {
      next.push(word === b[j - 1] ? row[j - 1]! + 1 : Math.max(row[j]!, next[j - 1]!));
    }
    row = next;
  }
  return row[b.length]!;
}
