export { curves, type Metrics } from './curves.ts';
export { figure } from './figure.ts';
export { Html, html } from './html.ts';
export { lineChart } from './line-chart.ts';
export { page } from './page.ts';
