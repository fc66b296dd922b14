import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { UsageError } from '../core/index.ts';
import { parseRecipeText, readRecipeFile } from './recipe-file.ts';

const schema = z.discriminatedUnion('task', [
  z.strictObject({
    task: z.literal('bake'),
    oven: z.strictObject({ temperature: z.number(), minutes: z.number().default(30) }),
  }),
  z.strictObject({ task: z.literal('boil'), pot: z.strictObject({ water: z.number() }) }),
  z.strictObject({
    task: z.literal('warm'),
    sides: z
      .array(
        z.discriminatedUnion('kind', [
          z.strictObject({ kind: z.literal('rice'), grains: z.number() }),
          z.strictObject({ kind: z.literal('salad'), leaves: z.number() }),
        ]),
      )
      .optional(),
    dish: z.union([z.strictObject({ frozen: z.string() }), z.strictObject({ fresh: z.string(), salt: z.number() })]),
  }),
]);
const text = 'task: bake\noven: { temperature: 180 }\n';

describe('a recipe', () => {
  it('is what the file says, with defaults, under the arguments', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'blip2-recipe-'));
    const file = join(folder, 'cake.yaml');
    await writeFile(file, text);
    expect(await readRecipeFile(schema, file)).toEqual({ task: 'bake', oven: { temperature: 180, minutes: 30 } });
    const changed = await readRecipeFile(schema, file, ['oven.temperature=2e2', 'oven.minutes=7']);
    expect(changed).toEqual({ task: 'bake', oven: { temperature: 200, minutes: 7 } });
    await rm(folder, { recursive: true });
  });

  it('can be made of arguments where the file has no such part', () => {
    const overrides = ['task=boil', 'pot.water=3'];
    expect(parseRecipeText(schema, '{}', { overrides })).toEqual({ task: 'boil', pot: { water: 3 } });
  });

  it('takes a text with a colon for a text, and what is in brackets for YAML', () => {
    const prompts = z.strictObject({
      prompt: z.string(),
      sizes: z.array(z.number()),
      dish: z.record(z.string(), z.number()),
    });
    for (const prompt of ['Question: {} Answer:', 'Question: {}', '*']) {
      const overrides = [`prompt=${prompt}`, 'sizes=[1, 2]', 'dish={salt: 3}'];
      expect(parseRecipeText(prompts, '{}', { overrides })).toEqual({ prompt, sizes: [1, 2], dish: { salt: 3 } });
    }
    expect(() => parseRecipeText(prompts, '{}', { overrides: ['sizes=[1'] })).toThrow(UsageError);
  });
});

describe('what is wrong with a recipe', () => {
  it.each([
    ['an unknown key', `${text}oven2: 1`, [], 'cake.yaml: oven2 is not a key of a recipe; did you mean oven?'],
    ['one inside a part', text, ['oven.minute=3'], 'oven.minute is not a key of a recipe; did you mean minutes?'],
    ["another task's key", text, ['oven.water=3'], /oven\.water is not a key of a recipe$/],
    [
      'one of an item in a list',
      'task: warm\nsides: [{ kind: salad, leaves: 2, leafs: 3 }]\ndish: { frozen: soup }',
      [],
      'cake.yaml: sides.0.leafs is not a key of a recipe; did you mean leaves?',
    ],
    ['a value of another type', text, ['oven.temperature=hot'], 'oven.temperature: '],
    ['a task that there is not', text, ['task=fry'], 'task: '],
    [
      'one of the nearer of two forms',
      'task: warm\ndish: { fresh: soup, sallt: 1 }',
      [],
      /dish\.(salt:|sallt .*salt\?)/,
    ],
    ['a value of the nearer form', 'task: warm\ndish: { frozen: 1 }', [], 'cake.yaml: dish.frozen: '],
    ['an argument without a value', text, ['oven.minutes'], 'oven.minutes: expected key=value'],
    ['YAML that is none', 'task: [', [], 'cake.yaml: '],
    ['a list', '- task', [], 'cake.yaml: expected a mapping'],
    ['nothing', '', [], 'cake.yaml: expected a mapping, found nothing'],
  ])('%s', (_, content, overrides, message) => {
    const parse = () => parseRecipeText(schema, content, { file: 'cake.yaml', overrides });
    expect(parse).toThrow(UsageError);
    expect(parse).toThrow(message);
  });

  it('a file that is not there', async () => {
    await expect(readRecipeFile(schema, 'none.yaml')).rejects.toThrow(/none\.yaml: expected a recipe/);
  });
});
