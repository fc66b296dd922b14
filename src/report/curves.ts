import { type Html, html } from './html.ts';
import { lineChart } from './line-chart.ts';

/** What was measured at one step: a line of a run's `metrics.jsonl` or `timing.jsonl`. */
export interface Metrics {
  readonly step: number;
  readonly [name: string]: number;
}

/** The curve of every metric that there is, by the order in which they first come. */
export function curves(lines: readonly Metrics[]): Html {
  const names = new Set(lines.flatMap((line) => Object.keys(line)));
  names.delete('step');
  const charts = [...names].map((name) => {
    const points = lines.flatMap((line) => (line[name] === undefined ? [] : [{ x: line.step, y: line[name] }]));
    return lineChart(name, points);
  });
  return html`<div class="grid-of">${charts}</div>`;
}
