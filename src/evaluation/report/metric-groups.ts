import type { Metrics } from '../benchmarks/index.ts';

/** Figures that stand side by side, and the names that lead to them. */
export interface MetricGroup {
  readonly path: readonly string[];
  readonly figures: readonly (readonly [name: string, figure: number])[];
}

/** Every group of figures, an outer one before those inside it. */
export function* metricGroups(metrics: Metrics, path: readonly string[] = []): Generator<MetricGroup> {
  const figures = Object.entries(metrics).filter((entry): entry is [string, number] => typeof entry[1] === 'number');
  if (figures.length > 0) yield { path, figures };
  for (const [name, group] of Object.entries(metrics)) {
    if (typeof group !== 'number') yield* metricGroups(group, [...path, name]);
  }
}
