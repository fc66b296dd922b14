import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DataError } from '../core/index.ts';
import { readAnswerList } from './answer-list.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-answers-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function answersIn(text: string): Promise<string[]> {
  await writeFile(join(folder, 'answers.json'), text);
  return readAnswerList(join(folder, 'answers.json'));
}

it('reads a JSON list of texts', async () => {
  expect(await answersIn('["yes", "2", "on the left"]')).toEqual(['yes', '2', 'on the left']);
});

it.each([
  ['no answers', '[]', /answers\.json: expected at least one answer, found none/],
  ['an empty answer', '["yes", " "]', /answers\.json: 1: expected an answer, found an empty one/],
  ['an answer that is no text', '["yes", 2]', /answers\.json: field 1: .*string/],
  ['something else than a list', '{"yes": 1}', /answers\.json: .*array/],
  ['half a file', '["yes"', /answers\.json: expected JSON/],
])('names %s', async (_, text, message) => {
  await expect(answersIn(text)).rejects.toThrow(message);
  await expect(answersIn(text)).rejects.toThrow(DataError);
});
