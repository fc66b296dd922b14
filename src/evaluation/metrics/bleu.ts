import type { CaptionMetric, CaptionSample, CaptionScores } from './caption-metric.ts';
import { nGramCounts, wordsOf } from './n-grams.ts';

const orders = [1, 2, 3, 4];

/** What BLEU counts in a caption, or adds up over a corpus; the arrays are by n-gram order. */
interface Counts {
  candidateLength: number;
  referenceLength: number;
  /** n-grams that some reference has too, each at most as often as the reference that has it most often. */
  matches: readonly number[];
  /** n-grams of the candidate. */
  total: readonly number[];
}

/**
 * BLEU-1 to BLEU-4 (Papineni et al., ACL 2002) as pycocoevalcap computes them: the reference length nearest to the
 * candidate's (the shorter of two equally near), and a corpus score from the summed counts.
 */
export const bleu: CaptionMetric = {
  reads: 'tokens',
  score(samples): CaptionScores {
    const counts = samples.map(count);
    const corpus = bleuOf(counts.reduce(add));
    const perSample = counts.map(bleuOf);
    return {
      corpus: Object.fromEntries(orders.map((n, i) => [`Bleu_${n}`, corpus[i]!])),
      perSample: Object.fromEntries(orders.map((n, i) => [`Bleu_${n}`, perSample.map((scores) => scores[i]!)])),
    };
  },
};

function count({ candidate, references }: CaptionSample): Counts {
  const words = wordsOf(candidate);
  const referenceWords = references.map(wordsOf);
  const referenceLength = referenceWords
    .map((reference) => reference.length)
    .reduce((best, length) => {
      const closer = Math.abs(length - words.length) - Math.abs(best - words.length);
      return closer < 0 || (closer === 0 && length < best) ? length : best;
    });
  const matches = orders.map((n) => {
    const counted = referenceWords.map((reference) => nGramCounts(reference, n));
    let sum = 0;
    for (const [gram, times] of nGramCounts(words, n)) {
      sum += Math.min(times, Math.max(...counted.map((c) => c.get(gram) ?? 0)));
    }
    return sum;
  });
  const total = orders.map((n) => Math.max(0, words.length - n + 1));
  return { candidateLength: words.length, referenceLength, matches, total };
}

const add = (a: Counts, b: Counts): Counts => ({
  candidateLength: a.candidateLength + b.candidateLength,
  referenceLength: a.referenceLength + b.referenceLength,
  matches: a.matches.map((m, i) => m + b.matches[i]!),
  total: a.total.map((t, i) => t + b.total[i]!),
});

/** The geometric mean of the precisions times the brevity penalty; the scorer's small constants stand in for zeros. */
function bleuOf({ candidateLength, referenceLength, matches, total }: Counts): number[] {
  const tiny = 1e-15;
  const small = 1e-9;
  const ratio = (candidateLength + tiny) / (referenceLength + small);
  const brevity = ratio < 1 ? Math.exp(1 - 1 / ratio) : 1;
  let product = 1;
  return orders.map((n, i) => {
    product *= (matches[i]! + tiny) / (total[i]! + small);
    return product ** (1 / n) * brevity;
  });
}
