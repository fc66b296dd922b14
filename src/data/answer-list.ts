import { z } from 'zod';
import { DataError } from '../core/index.ts';
import { readJson } from './json-lines.ts';

/** The answers to choose from: a JSON list of texts, as LAVIS's `answer_list.json`. Throws DataError naming the file. */
export async function readAnswerList(file: string): Promise<string[]> {
  const answers = await readJson(file, z.array(z.string()));
  if (answers.length === 0) throw new DataError(`${file}: expected at least one answer, found none`);
  const empty = answers.findIndex((answer) => answer.trim() === '');
  if (empty >= 0) throw new DataError(`${file}: ${empty}: expected an answer, found an empty one`);
  return answers;
}
