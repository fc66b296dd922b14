import { curves, figure, type Html, html, type Metrics as MetricsLine, page } from '../../report/index.ts';
import type { Metrics } from '../benchmarks/index.ts';
import type { Example } from './examples.ts';
import { type MetricGroup, metricGroups } from './metric-groups.ts';

export interface EvaluationReport {
  readonly title: string;
  readonly metrics: Metrics;
  readonly examples: readonly Example[];
  /** What the run that made the model measured while it trained; none where that is not known. */
  readonly training: readonly MetricsLine[];
}

const style = `
.example { display: grid; gap: .4rem 1.2rem; grid-template-columns: 192px 1fr; padding: 1.2rem 0; border-top: 1px solid var(--rule); }
.photo { background: var(--photo) center / cover; border-radius: 6px; width: 192px; }
.queries { display: grid; gap: 4px; grid-template-columns: repeat(auto-fill, minmax(96px, 1fr)); grid-column: 1 / -1; }
.queries i { background: var(--shadow) center / 100% 100%, var(--photo) center / cover; border-radius: 3px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 0; align-content: start; }
dt { color: var(--faint); } dd { margin: 0; }
`;

/** What was measured, and pictures with what was said of them and where each query looked. */
export function evaluationReport({ title, metrics, examples, training }: EvaluationReport): string {
  const body = html`${tables(metrics)}
${
  examples.length > 0 &&
  html`<h2>Pictures, the worst first</h2>
<p class="faint">Below each picture: where each query looks in the last cross-attention, by the mean of its heads. The
share that goes to no patch, but to the class token or a register, is in the tile's tooltip.</p>
${examples.map(article)}`
}
${training.length > 0 && html`<h2>Training</h2>${curves(training)}`}`;
  return page(title, body, style);
}

/** Groups of the same figures are rows of one table. */
function tables(metrics: Metrics): Html[] {
  const byNames = new Map<string, MetricGroup[]>();
  for (const group of metricGroups(metrics)) {
    const names = group.figures.map(([name]) => name).join();
    byNames.set(names, [...(byNames.get(names) ?? []), group]);
  }
  return [...byNames.values()].map(
    (groups) => html`<table>
<thead><tr><th></th>${groups[0]!.figures.map(([name]) => html`<th>${name}</th>`)}</tr></thead>
<tbody>${groups.map(
      ({
        path,
        figures,
      }) => html`<tr><th>${path.join(' ')}</th>${figures.map(([, x]) => html`<td>${figure(x)}</td>`)}</tr>
`,
    )}</tbody>
</table>
`,
  );
}

function article({ prediction, scores, photo, width, height, queries }: Example): Html {
  const { image, scores: _, ...said } = prediction;
  const texts = Object.entries(said).map(([name, text]) => ({ name, text: [text].flat().join(' · ') }));
  const figures = Object.entries(scores).map(([name, score]) => ({ name, text: figure(score) }));
  const shape = `aspect-ratio: ${width} / ${height}`;
  return html`<article class="example" style="--photo: url(${photo})">
<div class="photo" style="${shape}" role="img" aria-label="${image}"></div>
<dl>${[...texts, ...figures].map(({ name, text }) => html`<dt>${name}</dt><dd>${text}</dd>`)}
<dt>image</dt><dd class="faint">${image}</dd></dl>
<div class="queries">${queries.map(
    ({ shadow, prefix }, i) =>
      html`<i style="${shape}; --shadow: url(${shadow})" title="query ${i + 1}: ${Math.round(100 * prefix)} % on no patch"></i>`,
  )}</div>
</article>
`;
}
