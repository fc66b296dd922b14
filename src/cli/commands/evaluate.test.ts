import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
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

it.each([
  ['run.limt=2', UsageError, 'run.limt is not a key of a recipe; did you mean limit?'],
  ['benchmark=scene', UsageError, 'benchmark: '],
  ['data.path=/nowhere', DataError, '/nowhere/data.jsonl: expected a file'],
])('says what is wrong with %s', async (override, type, message) => {
  const failed = expect(printed(recipe, override)).rejects;
  await failed.toThrow(type);
  await failed.toThrow(message);
});
