import { type CaptionMetric, type CaptionScores, mean, meanScores } from './caption-metric.ts';
import { nGramCounts, wordsOf } from './n-grams.ts';

const orders = [1, 2, 3, 4];
/** Standard deviation of the length penalty, in words. */
const sigma = 6;

/** One order of a caption's n-grams: tf-idf weights and their Euclidean norm. */
interface Weights {
  readonly weights: ReadonlyMap<string, number>;
  readonly norm: number;
}

interface Vectors {
  readonly byOrder: readonly Weights[];
  readonly length: number;
}

/**
 * CIDEr-D (Vedantam et al., CVPR 2015) as pycocoevalcap computes it: document frequencies from the references of the
 * samples given, counts clipped to the reference's, a Gaussian penalty on the difference in length, times 10. With one
 * sample every n-gram is in every document, and the score is 0.
 */
export const cider: CaptionMetric = {
  reads: 'tokens',
  score(samples): CaptionScores {
    const references = samples.map((sample) => sample.references.map(wordsOf));
    const frequency = documentFrequency(references);
    const vectors = (words: readonly string[]) => tfIdf(words, { frequency, documents: samples.length });
    const scores = samples.map(({ candidate }, i) => {
      const written = vectors(wordsOf(candidate));
      return 10 * mean(references[i]!.map((reference) => similarity(written, vectors(reference))));
    });
    return meanScores('CIDEr', scores);
  },
};

/** In how many samples' references each n-gram occurs. */
function documentFrequency(references: readonly (readonly string[][])[]): Map<string, number> {
  const frequency = new Map<string, number>();
  for (const captions of references) {
    const grams = new Set(captions.flatMap((words) => orders.flatMap((n) => [...nGramCounts(words, n).keys()])));
    for (const gram of grams) frequency.set(gram, (frequency.get(gram) ?? 0) + 1);
  }
  return frequency;
}

function tfIdf(
  words: readonly string[],
  { frequency, documents }: { frequency: ReadonlyMap<string, number>; documents: number },
): Vectors {
  const byOrder = orders.map((n): Weights => {
    const weights = new Map<string, number>();
    let squares = 0;
    for (const [gram, times] of nGramCounts(words, n)) {
      const weight = times * (Math.log(documents) - Math.log(frequency.get(gram) ?? 1));
      weights.set(gram, weight);
      squares += weight ** 2;
    }
    return { weights, norm: Math.sqrt(squares) };
  });
  // The scorer counts bigrams, so a caption of no words is as long as one of one.
  return { byOrder, length: Math.max(0, words.length - 1) };
}

/** Clipped cosine similarity, averaged over the orders, under the length penalty. */
function similarity(candidate: Vectors, reference: Vectors): number {
  const penalty = Math.exp(-((candidate.length - reference.length) ** 2) / (2 * sigma ** 2));
  const cosines = candidate.byOrder.map(({ weights, norm }, i) => {
    const other = reference.byOrder[i]!;
    let dot = 0;
    for (const [gram, weight] of weights) {
      const its = other.weights.get(gram) ?? 0;
      dot += Math.min(weight, its) * its;
    }
    return norm === 0 || other.norm === 0 ? dot : dot / (norm * other.norm);
  });
  return mean(cosines) * penalty;
}
