import fc from 'fast-check';
import { expect, it } from 'vitest';
import { figure, html, lineChart, page } from './index.ts';
import { ticks } from './line-chart.ts';

/** What a browser makes of text with these entities. */
const read = (markup: string): string =>
  markup
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');

it('escapes every text, so that it is read as it was and never as markup', () => {
  const hostile = fc.oneof(
    fc.string({ unit: fc.constantFrom('<', '>', '"', "'", '&', 'lt;', 'script', ' ') }),
    fc.string(),
  );
  fc.assert(
    fc.property(hostile, (text) => {
      const markup = html`${text}`.markup;
      expect(markup).not.toMatch(/[<>"']|&(?!(amp|lt|gt|quot|#39);)/);
      expect(read(markup)).toBe(text);
    }),
  );
});

it('takes markup, lists and nothing as they are', () => {
  const items = ['a', '<b>'].map((item) => html`<li>${item}</li>`);
  expect(html`<ul class="${'"'}">${items}${undefined}${false}${0}</ul>`.markup).toBe(
    '<ul class="&quot;"><li>a</li><li>&lt;b&gt;</li>0</ul>',
  );
});

it('escapes the title and asks for nothing from anywhere', () => {
  const whole = page('</title><script>', html`<p>text</p>`);
  expect(whole).toContain('<title>&lt;/title&gt;&lt;script&gt;</title>');
  expect(whole).toContain("default-src 'none'");
  expect(whole).not.toMatch(/https?:|<script/);
});

it('marks axes with a few round values between the ends', () => {
  expect(ticks(0, 1)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
  expect(ticks(-3, 17)).toEqual([0, 5, 10, 15]);
  const ends = fc.tuple(
    fc.double({ min: -1e3, max: 1e3, noNaN: true }),
    fc.double({ min: 1e-3, max: 1e6, noNaN: true }),
  );
  fc.assert(
    fc.property(ends, ([low, range]) => {
      const marks = ticks(low, low + range);
      expect(marks.length).toBeGreaterThanOrEqual(2);
      expect(marks.length).toBeLessThanOrEqual(6);
      for (const mark of marks) expect(Math.abs(mark - (low + range / 2))).toBeLessThan(range * 0.501);
    }),
  );
});

it('draws a curve from corner to corner, and says its last value', () => {
  const points = [
    { x: 0, y: 1 },
    { x: 5, y: Number.NaN },
    { x: 10, y: 3 },
  ];
  const { markup } = lineChart('loss', points);
  expect(markup).toContain('<b>3</b>');
  expect(markup).toContain('<polyline points="46,130 312,8"/>');
});

it('draws long runs by means, one value as a point in the middle, and nothing without values', () => {
  const long = Array.from({ length: 5000 }, (_, x) => ({ x, y: x % 2 }));
  const path = /<polyline points="([^"]*)"/.exec(lineChart('noise', long).markup)![1]!.split(' ');
  expect(path).toHaveLength(200);
  expect(lineChart('one', [{ x: 3, y: 7 }]).markup).toContain('points="179,69"');
  expect(lineChart('none', []).markup).not.toContain('<svg');
});

it.each([
  [0, '0'],
  [1283, '1283'],
  [0.5, '0.5'],
  [17.98765, '17.99'],
  [1e-4, '1e-4'],
  [12345678, '1.235e+7'],
])('writes %d as %s', (x, text) => expect(figure(x)).toBe(text));
