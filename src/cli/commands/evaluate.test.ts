import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { writeRandomModel } from '../../../test/random-model.ts';
import { writeSmallCutouts } from '../../../test/small-cutouts.ts';
import { run } from '../program.ts';

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

/** The exit code of a command line, and what it printed. */
async function blip2(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const printed = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((stream) =>
    vi.spyOn(process[stream], 'write').mockImplementation((text) => {
      printed[stream] += text;
      return true;
    }),
  );
  const code = await run(args);
  for (const spy of spies) spy.mockRestore();
  return { code, ...printed };
}

it('prints one object, and leaves it and what was written in a folder', async () => {
  const out = join(folder, 'out');
  const { code, stdout } = await blip2('evaluate', recipe, `run.output_dir=${out}`, '--json');
  expect(code).toBe(0);
  const metrics = JSON.parse(stdout);
  expect(metrics).toMatchObject({ style: { images: 6, texts: 6, itc: { txt_r10: 100 } } });
  expect((await readdir(out)).sort()).toEqual(['metrics.json', 'predictions.jsonl']);
  expect(JSON.parse(await readFile(join(out, 'metrics.json'), 'utf8'))).toEqual(metrics);
  const predictions = (await readFile(join(out, 'predictions.jsonl'), 'utf8')).trim().split('\n');
  expect(predictions.map((line) => JSON.parse(line).references)).toContainEqual(['a red cat']);
});

it('prints a line for every group of figures', async () => {
  const { stdout } = await blip2('evaluate', recipe, 'run.limit=2');
  expect(stdout).toMatch(/^style +images 2 {2}texts 2$/m);
  expect(stdout).toMatch(/^style itc +txt_r1 \d+(\.\d)? /m);
});

it.each([
  ['run.limt=2', 2, 'run.limt is not a key of a recipe; did you mean limit?'],
  ['benchmark=scene', 2, 'benchmark: '],
  ['data.path=/nowhere', 1, '/nowhere/data.jsonl: expected a file'],
])('says what is wrong with %s', async (override, exit, message) => {
  const { code, stdout, stderr } = await blip2('evaluate', recipe, override);
  expect({ code, stdout }).toEqual({ code: exit, stdout: '' });
  expect(stderr).toContain(message);
});
