/** One picture's generated caption and the captions it is compared with. */
export interface CaptionSample {
  readonly candidate: string;
  readonly references: readonly string[];
}

/** Scores by name: of the whole set, and of each sample in its order. */
export interface CaptionScores {
  readonly corpus: Readonly<Record<string, number>>;
  readonly perSample: Readonly<Record<string, readonly number[]>>;
}

/** A metric over captions. It reads the text as written, or the PTB tokens joined by blanks. */
export interface CaptionMetric {
  readonly reads: 'text' | 'tokens';
  readonly score: (samples: readonly CaptionSample[]) => CaptionScores;
}

export const mean = (values: readonly number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length;

/** Scores of a metric whose corpus score is the mean over the samples. */
export const meanScores = (name: string, perSample: readonly number[]): CaptionScores => ({
  corpus: { [name]: mean(perSample) },
  perSample: { [name]: perSample },
});
