import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { expect, it } from 'vitest';
import { writeRandomModel } from '../../../test/random-model.ts';
import { floats } from '../../core/index.ts';
import { Blip2 } from '../../pipelines/index.ts';
import type { Prediction } from '../benchmarks/index.ts';
import { type Example, scoresOf, worstExamples } from './examples.ts';
import { looks, shadow } from './heat-map.ts';
import { evaluationReport, metricGroups } from './index.ts';

const prediction = (caption: string, ...references: string[]): Prediction => ({
  image: `${caption}.png`,
  references,
  caption,
});

/** Two layers, two heads, one query, a class token and four patches. */
const attention = floats(
  [2, 2, 1, 5],
  [
    [9, 9, 9, 9, 9, 9, 9, 9, 9, 9],
    [0.1, 0.5, 0.2, 0.1, 0.1],
    [0.3, 0.3, 0, 0.3, 0.1],
  ].flat(),
);

it('takes the mean of the heads in the last layer, and the class token apart', () => {
  const [look, ...more] = looks(attention, 1);
  expect(more).toEqual([]);
  expect(look!.prefix).toBeCloseTo(0.2);
  expect([...look!.patches]).toEqual([0.4, 0.1, 0.2, 0.1].map((x) => expect.closeTo(x)));
  const [withoutClassToken] = looks(attention, 0);
  expect(withoutClassToken).toMatchObject({ prefix: 0, patches: { length: 5 } });
});

it('leaves the picture clear where a query looks most, row by row', () => {
  const patches = Float32Array.from([0, 0.4, 0.2, 0.1, 0, 0.4]);
  const image = shadow({ prefix: 0, patches }, { width: 300, height: 200 });
  expect(image).toMatchObject({ width: 3, height: 2, channels: 4 });
  const alphas = [...image.data].filter((_, i) => i % 4 === 3);
  expect(alphas).toEqual([216, 0, 108, 162, 216, 0]);
});

it("takes the benchmark's scores, or a caption's CIDEr, or says nothing", () => {
  const own = { ...prediction('a cat', 'a cat'), scores: { accuracy: 30 } };
  const { caption: _, ...silent } = prediction('', 'a cat');
  const [first, right, none, wrong, unknown] = scoresOf([
    own,
    prediction('a red dog', 'a red dog'),
    silent,
    prediction('an apple', 'a blue tree'),
    prediction('a cat'),
  ]);
  expect([first, none, unknown]).toEqual([{ accuracy: 30 }, {}, {}]);
  expect(right!.CIDEr).toBeGreaterThan(100);
  expect(wrong).toEqual({ CIDEr: 0 });
});

it('shows the worst pictures first, as they are, with the look of every query', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'blip2-report-'));
  await writeRandomModel(folder);
  const model = await Blip2.fromPretrained(folder);
  const captions = ['a red dog', 'a cat on the left', 'a blue apple'];
  const predictions = captions.map((caption, i) => ({
    ...prediction(caption, caption),
    scores: { CIDEr: [5, 9, 1][i]! },
  }));
  const images = await Promise.all(
    ['red', 'green', 'blue'].map(async (background, i) => {
      const path = join(folder, `${i}.png`);
      await sharp({ create: { width: 40, height: 40, channels: 3, background } })
        .png()
        .toFile(path);
      return { kind: 'file', path } as const;
    }),
  );
  const examples = await worstExamples(model, { predictions, images }, 2);
  expect(examples.map((example) => example.prediction.caption)).toEqual(['a blue apple', 'a red dog']);
  const { photo, queries } = examples[0]!;
  expect(queries).toHaveLength(model.files.config.num_query_tokens);
  for (const { shadow: url, prefix } of queries) {
    expect(prefix).toBeGreaterThan(0);
    expect(await sharp(bytesOf(url)).metadata()).toMatchObject({ format: 'webp', width: 2, height: 2, hasAlpha: true });
  }
  const { dominant } = await sharp(bytesOf(photo)).stats();
  expect(dominant.b).toBeGreaterThan(dominant.r + 200);
  await model.release();
  await rm(folder, { recursive: true });
});

const bytesOf = (url: string): Buffer => Buffer.from(url.replace('data:image/webp;base64,', ''), 'base64');

const example = (said: Partial<Prediction>): Example => ({
  prediction: { ...prediction('a cat', 'a dog', 'a wolf'), ...said },
  scores: { CIDEr: 12.3456 },
  photo: 'data:image/webp;base64,AAAA',
  width: 28,
  height: 28,
  queries: [{ shadow: 'data:image/webp;base64,BBBB', prefix: 0.42 }],
});

it('says what was said, what should have been, and how good it is', () => {
  const metrics = { itc: { txt_r1: 50 }, itm: { txt_r1: 25.55555 } };
  const training = [
    { step: 0, loss: 3 },
    { step: 20, loss: 1 },
  ];
  const page = evaluationReport({ title: 'pocket: cutouts', metrics, examples: [example({})], training });
  for (const text of ['<th>itm</th><td>25.56</td>', 'a dog · a wolf', '12.35', '42 % on no patch', 'polyline']) {
    expect(page).toContain(text);
  }
  expect(page.match(/<table>/g)).toHaveLength(1); // both rows have the same columns
});

it('shows hostile texts as texts', () => {
  const hostile = `"><script>alert('&')</script>`;
  const said = { image: hostile, caption: hostile, references: [hostile], question: hostile, nearest: hostile };
  const page = evaluationReport({ title: hostile, metrics: { [hostile]: 1 }, examples: [example(said)], training: [] });
  expect(page).not.toContain('<script');
  expect(page).not.toMatch(/aria-label="">/);
  expect(page.match(/&quot;&gt;&lt;script&gt;alert\(&#39;&amp;&#39;\)&lt;\/script&gt;/g)!.length).toBe(9);
});

it('lists groups of figures from the outside in', () => {
  const metrics = { n: 2, itc: { r1: 1 }, captions: { CIDEr: 3, strict: { share: 4 } } };
  expect([...metricGroups(metrics)]).toEqual([
    { path: [], figures: [['n', 2]] },
    { path: ['itc'], figures: [['r1', 1]] },
    { path: ['captions'], figures: [['CIDEr', 3]] },
    { path: ['captions', 'strict'], figures: [['share', 4]] },
  ]);
});
