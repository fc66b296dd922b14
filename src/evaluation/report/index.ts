export { worstExamples } from './examples.ts';
export { type MetricGroup, metricGroups } from './metric-groups.ts';
export { evaluationReport } from './report.ts';
