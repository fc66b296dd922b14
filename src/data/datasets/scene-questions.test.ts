import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeSmallCutouts } from '../../../test/small-cutouts.ts';
import type { Question, Scene } from '../scenes/index.ts';
import { openDataset, openQuestions, type QuestionRecord } from './index.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'blip2-scene-questions-'));
  await writeSmallCutouts(dir);
});
afterAll(() => rm(dir, { recursive: true }));

const config = () => ({ type: 'scenes', path: dir, n: 30, seed: 3, singles: 0.2 });
async function ask(options = {}): Promise<QuestionRecord[]> {
  const dataset = await openQuestions({ ...config(), ...options });
  return Array.from({ length: dataset.length }, (_, i) => dataset.record(i));
}
const sceneOf = ({ image }: Pick<QuestionRecord, 'image'>): Scene => {
  if (image.kind !== 'scene') throw new Error('expected a scene');
  return image.scene;
};

/** Equal questions after each other, where the first stands. */
function together(questions: readonly Question[]): Question[] {
  const firsts = questions.map(({ question }) => questions.findIndex((other) => other.question === question));
  return [...questions.keys()].sort((a, b) => firsts[a]! - firsts[b]! || a - b).map((i) => questions[i]!);
}

it('asks all that can be asked of the scenes that show the same captions', async () => {
  const captions = await openDataset(config());
  const scenes = Array.from({ length: captions.length }, (_, i) => sceneOf(captions.record(i)));
  const records = await ask();
  expect(records.flatMap(({ question, references }) => references.map((answer) => [question, answer]))).toEqual(
    scenes.flatMap(({ questions }) => together(questions).map(({ question, answer }) => [question, answer])),
  );
  expect(new Set(records.map(({ id }) => id)).size).toBe(records.length);
  for (const record of records) expect(scenes).toContainEqual(sceneOf(record));
});

it('asks once where a thing is, and takes any true answer', async () => {
  const records = await ask({ kinds: ['where'], n: 300, min_objects: 3 });
  const asked = records.map(({ imageId, question }) => `${imageId}: ${question}`);
  expect(new Set(asked).size).toBe(asked.length);
  const several = records.filter(({ references }) => references.length > 1);
  expect(several.length).toBeGreaterThan(0);
  for (const { references, answers, ...record } of several) {
    const { objects } = sceneOf(record);
    expect(new Set(references).size).toBe(references.length);
    expect(answers.map(({ weight }) => weight)).toEqual(references.map(() => 1 / references.length));
    for (const answer of references) {
      expect(
        objects.filter(({ noun }) => answer.endsWith(`the ${noun.name}`) || answer.endsWith(`the ${noun.plural}`)),
      ).toHaveLength(1);
    }
  }
});

it('asks some kinds only, about scenes of several things only', async () => {
  const records = await ask({ kinds: ['what', 'where'], min_objects: 2 });
  expect(new Set(records.map(({ kind }) => kind))).toEqual(new Set(['what', 'where']));
  expect(Math.min(...records.map((record) => sceneOf(record).objects.length))).toBe(2);
  expect(records.length).toBeLessThan((await ask({ kinds: ['what', 'where'] })).length);
});
