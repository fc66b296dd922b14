export type { Metrics, Prediction, Report } from './benchmark.ts';
export { benchmarks, type EvaluationRecipe, evaluationRecipe } from './benchmarks.ts';
export { type Progress, Subject, type SubjectOptions } from './subject.ts';
