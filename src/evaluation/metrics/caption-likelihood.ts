import { DataError } from '../../core/index.ts';

export interface CaptionLikelihood {
  /** Natural logarithm per token, over all tokens of all captions. */
  readonly meanLogLikelihood: number;
  /** exp(−meanLogLikelihood). */
  readonly perplexity: number;
  /** Sum of each caption's log-probabilities. */
  readonly perCaption: readonly number[];
}

/** How likely a model finds the captions, from the natural log-probability of each of their tokens. Throws DataError. */
export function captionLikelihood(logProbabilities: readonly (readonly number[])[]): CaptionLikelihood {
  const tokens = logProbabilities.reduce((n, caption) => n + caption.length, 0);
  if (tokens === 0) throw new DataError('caption likelihood: expected at least one token, found none');
  const perCaption = logProbabilities.map((caption) => caption.reduce((sum, p) => sum + p, 0));
  const meanLogLikelihood = perCaption.reduce((sum, p) => sum + p, 0) / tokens;
  return { meanLogLikelihood, perplexity: Math.exp(-meanLogLikelihood), perCaption };
}
