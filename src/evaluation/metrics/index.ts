export { type CaptionLikelihood, captionLikelihood } from './caption-likelihood.ts';
export { type CaptionMetric, type CaptionSample, type CaptionScores, mean } from './caption-metric.ts';
export { type CaptionMetricName, captionMetrics, scoreCaptions, tokenizeSamples } from './caption-metrics.ts';
export {
  type BootstrapDifference,
  type BootstrapOptions,
  type Interval,
  pairedBootstrap,
  wilsonInterval,
} from './confidence.ts';
export { headNoun } from './head-noun.ts';
export { ptbTokenize } from './ptb-tokenize.ts';
export {
  type RecallAtK,
  type RetrievalRecall,
  type RetrievalScores,
  ranksOf,
  recallAtK,
  retrievalRanks,
  retrievalRecall,
} from './retrieval.ts';
export { normaliseAnswer, stripPunctuation, type VqaRule, vqaAccuracy } from './vqa-accuracy.ts';
