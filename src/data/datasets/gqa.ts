import { join } from 'node:path';
import { z } from 'zod';
import { checkRow, keepGood, readEntries } from '../json-lines.ts';
import { checkAnswers, checkQuestion, defineDataset, imageFile, type QuestionRecord, recordsOf } from './dataset.ts';

const entry = z.object({
  imageId: z.string().min(1),
  question: z.string(),
  /** Absent in the splits whose answers are not public. */
  answer: z
    .string()
    .transform((text) => [text])
    .optional(),
  types: z.object({ structural: z.string().optional() }).optional(),
});

/** GQA as cs.stanford.edu gives it (`train_balanced_questions.json`): questions by their ids, pictures as `<imageId>.jpg`. */
export const gqa = defineDataset(
  z.strictObject({ type: z.literal('gqa'), path: z.string(), images: z.string() }),
  async ({ path, images }, onBad) => {
    const records: QuestionRecord[] = [];
    for await (const { key: id, value: row } of readEntries(path)) {
      const where = `${path}: ${id}`;
      const make = (): QuestionRecord => {
        const { imageId, question, answer, types } = checkRow(row, entry, where);
        return {
          id,
          imageId,
          image: imageFile(join(images, `${imageId}.jpg`), `${where}: field imageId`),
          question: checkQuestion(question, `${where}: field question`),
          ...checkAnswers(answer, `${where}: field answer`),
          kind: types?.structural,
        };
      };
      records.push(...keepGood(make, onBad));
    }
    return recordsOf(records, onBad, path);
  },
);
