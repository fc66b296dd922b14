import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { evaluationRecipe } from '../evaluation/index.ts';
import { readRecipe, readRecipeFile } from '../training/index.ts';
import { bootstrapRecipe } from './bootstrap.ts';

const schemas = { evaluate: evaluationRecipe, bootstrap: bootstrapRecipe };
const files = (await readdir('recipes')).map((name) => join('recipes', name));
const tasks = await Promise.all(files.map(async (file) => parse(await readFile(file, 'utf8')).task));

for (const [task, schema] of Object.entries(schemas)) {
  it.each(files.filter((_, i) => tasks[i] === task))(`%s is a recipe of ${task}`, async (file) => {
    expect(await readRecipeFile(schema, file)).toMatchObject({ task, data: expect.any(Object) });
  });
}

it.each(files.filter((_, i) => !(tasks[i] in schemas)))('%s is a recipe of training', async (file) => {
  expect(await readRecipe(file)).toMatchObject({ task: expect.any(String), run: expect.any(Object) });
});
