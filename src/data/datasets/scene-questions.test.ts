import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeSmallCutouts } from '../../../test/small-cutouts.ts';
import type { Scene } from '../scenes/index.ts';
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

it('asks all that can be asked of the scenes that show the same captions', async () => {
  const captions = await openDataset(config());
  const scenes = Array.from({ length: captions.length }, (_, i) => sceneOf(captions.record(i)));
  const records = await ask();
  expect(records.map(({ question, references }) => [question, references])).toEqual(
    scenes.flatMap(({ questions }) => questions.map(({ question, answer }) => [question, [answer]])),
  );
  expect(new Set(records.map(({ id }) => id)).size).toBe(records.length);
  for (const record of records) expect(scenes).toContainEqual(sceneOf(record));
});

it('asks some kinds only, about scenes of several things only', async () => {
  const records = await ask({ kinds: ['what', 'where'], min_objects: 2 });
  expect(new Set(records.map(({ kind }) => kind))).toEqual(new Set(['what', 'where']));
  expect(Math.min(...records.map((record) => sceneOf(record).objects.length))).toBe(2);
  expect(records.length).toBeLessThan((await ask({ kinds: ['what', 'where'] })).length);
});
