export {
  type EvaluationRecipe,
  evaluationRecipe,
  type Metrics,
  type Prediction,
  type Progress,
  type Report,
} from './benchmarks/index.ts';
export { type Evaluation, type EvaluationOptions, evaluateModel } from './evaluate.ts';
export * from './metrics/index.ts';
export { type MetricGroup, metricGroups } from './report/index.ts';
