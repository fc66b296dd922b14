import { curves, html, type Metrics, page } from '../report/index.ts';

export interface TrainingReport {
  readonly title: string;
  /** As resolved, in YAML. */
  readonly recipe: string;
  readonly metrics: readonly Metrics[];
}

/** A run as a person looks at it: the curve of every metric, and the recipe. */
export function trainingReport({ title, recipe, metrics }: TrainingReport): string {
  const last = metrics.reduce((step, line) => Math.max(step, line.step), 0);
  const body = html`<p class="faint">Up to step ${last}.</p>
${curves(metrics)}
<h2>Recipe</h2>
<pre>${recipe}</pre>`;
  return page(title, body);
}
