import { Html, html } from './html.ts';

/** The look of all reports, light or dark as the reader's system is. */
const common = `
:root { color-scheme: light dark; --ink: light-dark(#1b1f24, #e6e8eb); --faint: light-dark(#68707a, #98a1ab);
  --rule: light-dark(#e3e6ea, #31363d); --curve: light-dark(#1f6feb, #79b8ff); --ground: light-dark(#fff, #16191d); }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); max-width: 1100px;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
figure { margin: 0; } figcaption, .faint { color: var(--faint); } figcaption b { color: var(--ink); }
.grid-of { display: grid; gap: 1.2rem; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .8rem 0; }
th, td { padding: .25rem .8rem .25rem 0; text-align: right; border-bottom: 1px solid var(--rule); font-weight: normal; }
th { color: var(--faint); } tbody th, thead th:first-child { text-align: left; }
pre { background: color-mix(in srgb, var(--rule) 40%, transparent); padding: 1rem; border-radius: 6px; overflow-x: auto; }
.chart svg { width: 100%; } .chart text { font-size: 10px; fill: var(--faint); }
.chart .grid { stroke: var(--rule); } .chart polyline { fill: none; stroke: var(--curve); stroke-width: 1.6; stroke-linejoin: round; }
`;

/** A whole HTML file that needs nothing but itself: the policy keeps browsers from fetching anything. */
export function page(title: string, body: Html, style = ''): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${new Html(common + style)}</style>
</head>
<body>
<h1>${title}</h1>
${body}
</body>
</html>
`.markup;
}
