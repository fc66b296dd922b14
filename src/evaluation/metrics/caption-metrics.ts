import { DataError } from '../../core/index.ts';
import { bleu } from './bleu.ts';
import type { CaptionMetric, CaptionSample, CaptionScores } from './caption-metric.ts';
import { cider } from './cider.ts';
import { headNounMatch } from './head-noun.ts';
import { ptbTokenize } from './ptb-tokenize.ts';
import { rougeL } from './rouge-l.ts';

/** Every metric of captions: a new one is a file and a line here. */
export const captionMetrics = {
  cider,
  bleu,
  'rouge-l': rougeL,
  'head-noun': headNounMatch,
} satisfies Record<string, CaptionMetric>;

export type CaptionMetricName = keyof typeof captionMetrics;

/** Scores raw captions by the metrics named, by default all. Throws DataError for no samples or no references. */
export function scoreCaptions(
  samples: readonly CaptionSample[],
  names: readonly CaptionMetricName[] = Object.keys(captionMetrics) as CaptionMetricName[],
): CaptionScores {
  if (samples.length === 0) throw new DataError('caption metrics: expected at least one caption, found none');
  const bare = samples.findIndex(({ references }) => references.length === 0);
  if (bare >= 0) throw new DataError(`caption metrics: sample ${bare} has no reference captions`);
  const tokens = tokenizeSamples(samples);
  const scores = names.map((name) => {
    const metric: CaptionMetric = captionMetrics[name];
    return metric.score(metric.reads === 'tokens' ? tokens : samples);
  });
  return {
    corpus: Object.assign({}, ...scores.map(({ corpus }) => corpus)),
    perSample: Object.assign({}, ...scores.map(({ perSample }) => perSample)),
  };
}

/** The samples in PTB tokens: references as one text and candidates as another, as the official scorer reads them. */
export function tokenizeSamples(samples: readonly CaptionSample[]): CaptionSample[] {
  const candidates = ptbTokenize(samples.map(({ candidate }) => candidate));
  const references = ptbTokenize(samples.flatMap((sample) => sample.references));
  let start = 0;
  return samples.map((sample, i) => {
    const end = start + sample.references.length;
    const tokenized = { candidate: candidates[i]!, references: references.slice(start, end) };
    start = end;
    return tokenized;
  });
}
