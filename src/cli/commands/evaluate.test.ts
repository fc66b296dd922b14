import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { writeRandomModel } from '../../../test/random-model.ts';
import { writeSmallCutouts } from '../../../test/small-cutouts.ts';
import { DataError, UsageError } from '../../core/index.ts';
import { evaluate } from './evaluate.ts';

let folder: string;
let recipe: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-evaluate-'));
  await writeRandomModel(join(folder, 'model'));
  await writeSmallCutouts(folder);
  recipe = join(folder, 'recipe.yaml');
  const lines = [
    'task: evaluate',
    'benchmark: cutouts',
    `model: ${folder}/model`,
    `data: { path: ${folder}, feature_cache: ${folder}/features }`,
    'run: { subsets: [style] }',
  ];
  await writeFile(recipe, lines.join('\n'));
});
afterAll(() => rm(folder, { recursive: true }));

/** What the command prints. */
async function printed(...args: string[]): Promise<string> {
  let text = '';
  const spy = vi.spyOn(process.stdout, 'write').mockImplementation((line) => {
    text += line;
    return true;
  });
  try {
    await evaluate.parseAsync(args, { from: 'user' });
    return text;
  } finally {
    spy.mockRestore();
  }
}

it('prints one object, and leaves it and what was written in a folder', async () => {
  const out = join(folder, 'out');
  const metrics = JSON.parse(await printed(recipe, `run.output_dir=${out}`, '--json'));
  expect(metrics).toMatchObject({ style: { images: 6, texts: 6, itc: { txt_r10: 100 } } });
  expect((await readdir(out)).sort()).toEqual(['metrics.json', 'predictions.jsonl', 'report.html']);
  expect(JSON.parse(await readFile(join(out, 'metrics.json'), 'utf8'))).toEqual(metrics);
  const predictions = (await readFile(join(out, 'predictions.jsonl'), 'utf8')).trim().split('\n');
  expect(predictions.map((line) => JSON.parse(line).references)).toContainEqual(['a red cat']);
  const report = await readFile(join(out, 'report.html'), 'utf8');
  expect(report.match(/<article/g)).toHaveLength(6);
  expect(report).toContain('<dd>a red cat</dd>');
});

it('prints a line for every group of figures', async () => {
  const table = await printed(recipe, 'run.limit=2');
  expect(table).toMatch(/^style +images 2 {2}texts 2$/m);
  expect(table).toMatch(/^style itc +txt_r1 \d+(\.\d)? /m);
});

it('names a picture that cannot be used, or leaves it out and says so, where it is', async () => {
  const errors: string[] = [];
  const spy = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    errors.push(String(text));
    return true;
  });
  const dataset = join(folder, 'with-bad');
  await mkdir(dataset);
  const row = (image: string, caption: string) => `${JSON.stringify({ image, caption })}\n`;
  await writeFile(join(dataset, 'bad.png'), 'no picture');
  await writeFile(
    join(dataset, 'data.jsonl'),
    row('../images/style-0.png', 'a red cat') + row('bad.png', 'a dog') + row('none.png', 'a cow') + row('bad.png', ''),
  );
  const bad = [
    ...[recipe, 'benchmark=retrieval', `data={test: {type: jsonl, path: ${dataset}/data.jsonl}}`],
    ...[`data.feature_cache=${folder}/features`, 'run={k_test: 0}'],
  ];
  try {
    await expect(printed(...bad)).rejects.toThrow(/data\.jsonl:3: field image: .*none\.png/);
    expect(JSON.parse(await printed(...bad, '--skip-bad', '--json'))).toMatchObject({ images: 1, texts: 1 });
  } finally {
    spy.mockRestore();
  }
  expect(errors.filter((line) => line.startsWith('left out: '))).toEqual([
    expect.stringMatching(/data\.jsonl:3: field image: .*none\.png\n$/),
    expect.stringMatching(/data\.jsonl:4: field caption: .*empty one\n$/),
    expect.stringMatching(/record bad\.png: .*with-bad\/bad\.png: expected an image.*\n$/),
  ]);
  expect(errors).toContainEqual(expect.stringMatching(/^retrieval: .* \d+\/\d+ {2}[\d.]+\/s {2}\d+ s left\n$/));
});

it.each([
  ['run.limt=2', UsageError, 'run.limt is not a key of a recipe; did you mean limit?'],
  ['benchmark=scene', UsageError, 'benchmark: '],
  ['data.path=/nowhere', DataError, '/nowhere/data.jsonl: expected a file'],
])('says what is wrong with %s', async (override, type, message) => {
  const failed = expect(printed(recipe, override)).rejects;
  await failed.toThrow(type);
  await failed.toThrow(message);
});
