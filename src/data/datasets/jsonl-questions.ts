import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { keepGood, readJsonLines } from '../json-lines.ts';
import { checkAnswers, checkQuestion, defineDataset, imageFile, type QuestionRecord, recordsOf } from './dataset.ts';

const line = z.object({
  image: z.string().min(1),
  question: z.string(),
  answer: z
    .string()
    .transform((text) => [text])
    .nullish(),
  answers: z.array(z.string()).nullish(),
  question_id: z.union([z.string(), z.number()]).optional(),
  image_id: z.union([z.string(), z.number()]).optional(),
});

/**
 * A JSON-lines file of questions: `image` (relative to the file), `question`, `answer` or `answers` (each as often as
 * people gave it; absent or null where they are not public), and perhaps `question_id` and `image_id`.
 */
export const jsonlQuestions = defineDataset(
  z.strictObject({ type: z.literal('jsonl'), path: z.string() }),
  async ({ path }, onBad) => {
    const lines = await readJsonLines(path, line, onBad);
    const records = lines.flatMap(({ where, row }) => {
      const make = (): QuestionRecord => ({
        id: String(row.question_id ?? where),
        imageId: String(row.image_id ?? row.image),
        image: imageFile(resolve(dirname(path), row.image), `${where}: field image`),
        question: checkQuestion(row.question, `${where}: field question`),
        ...checkAnswers(row.answers ?? row.answer, `${where}: field answers`),
      });
      return keepGood(make, onBad);
    });
    return recordsOf(records, onBad, path);
  },
);
