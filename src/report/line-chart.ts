import { figure } from './figure.ts';
import { type Html, html } from './html.ts';

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** The drawing's size and the frame inside it, in the units of its viewBox. */
const size = { width: 320, height: 150 };
const frame = { left: 46, right: 312, top: 8, bottom: 130 };

/** A curve is drawn through so many points at most: each is the mean of its neighbours. */
const mostPoints = 200;

/** One curve over the steps, with its last value beside its name. Points that are not finite are left out. */
export function lineChart(name: string, points: readonly Point[]): Html {
  const finite = points.filter(({ y }) => Number.isFinite(y));
  const last = finite.at(-1);
  return html`<figure class="chart"><figcaption>${name} <b>${last && figure(last.y)}</b></figcaption>${
    last && drawing(name, thinned(finite))
  }</figure>`;
}

function drawing(name: string, points: readonly Point[]): Html {
  const x = axis(
    points.map((point) => point.x),
    frame.left,
    frame.right,
  );
  const y = axis(
    points.map((point) => point.y),
    frame.bottom,
    frame.top,
  );
  const path = points.map((point) => `${round(x.at(point.x))},${round(y.at(point.y))}`).join(' ');
  return html`<svg viewBox="0 0 ${size.width} ${size.height}" role="img" aria-label="${name} over steps">
${y.ticks.map(
  (
    tick,
  ) => html`<line class="grid" x1="${frame.left}" x2="${frame.right}" y1="${round(y.at(tick))}" y2="${round(y.at(tick))}"/>
<text x="${frame.left - 6}" y="${round(y.at(tick) + 3)}" text-anchor="end">${figure(tick)}</text>
`,
)}${x.ticks.map((tick) => html`<text x="${round(x.at(tick))}" y="145" text-anchor="middle">${figure(tick)}</text>`)}
<polyline points="${path}"/></svg>`;
}

/** Where values lie between two ends of the drawing, and round values to mark. */
function axis(values: readonly number[], from: number, to: number): { ticks: number[]; at: (value: number) => number } {
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  const range = high - low;
  return {
    ticks: range > 0 ? ticks(low, high) : [low],
    at: (value) => (range > 0 ? from + ((value - low) / range) * (to - from) : (from + to) / 2),
  };
}

/** Two to six multiples of 1, 2 or 5 times a power of ten. */
export function ticks(low: number, high: number): number[] {
  const least = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= least)!;
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) =>
    Number(((first + i) * step).toPrecision(12)),
  );
}

/** Means of equally many points each. */
function thinned(points: readonly Point[]): Point[] {
  const each = Math.ceil(points.length / mostPoints);
  return Array.from({ length: Math.ceil(points.length / each) }, (_, i) => {
    const some = points.slice(i * each, (i + 1) * each);
    const mean = (of: (point: Point) => number) => some.reduce((sum, point) => sum + of(point), 0) / some.length;
    return { x: mean((point) => point.x), y: mean((point) => point.y) };
  });
}

const round = (x: number): number => Math.round(10 * x) / 10;
