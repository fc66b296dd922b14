import { join } from 'node:path';
import { z } from 'zod';
import { DataError } from '../../core/index.ts';
import { checkRow, keepGood, type OnBad, readJson, report } from '../json-lines.ts';
import { checkAnswers, checkQuestion, defineDataset, imageFile, type QuestionRecord, recordsOf } from './dataset.ts';

const questionFile = z.object({ data_subtype: z.string().default(''), questions: z.array(z.unknown()) });
const questionRow = z.object({ question_id: z.int(), image_id: z.int(), question: z.string() });
const annotationFile = z.object({ annotations: z.array(z.unknown()) });
const annotationRow = z.object({
  question_id: z.int(),
  image_id: z.int(),
  answer_type: z.string().optional(),
  answers: z.array(z.object({ answer: z.string() })),
});
type Annotation = z.infer<typeof annotationRow> & { readonly where: string };

/**
 * VQAv2 and OK-VQA as visualqa.org and okvqa.allenai.org give them: a file of questions, a file of annotations with ten
 * answers each (absent for a split whose answers are not public), and the folder of pictures.
 */
export const vqa = defineDataset(
  z.strictObject({
    type: z.literal('vqa'),
    questions: z.string(),
    annotations: z.string().optional(),
    images: z.string(),
    /**
     * A picture's name: `{subtype}` is the questions' `data_subtype`, `test2015` for those of `test-dev2015`, which is a
     * part of it; `{image_id}` COCO's number in twelve digits.
     */
    image_name: z.string().default('COCO_{subtype}_{image_id}.jpg'),
  }),
  async ({ questions, annotations, images, image_name }, onBad) => {
    const { data_subtype, questions: rows } = await readJson(questions, questionFile);
    const annotated = annotations === undefined ? undefined : await readAnnotations(annotations, onBad);
    const records = rows.flatMap((row, i) => {
      const where = `${questions}: questions.${i}`;
      const make = (): QuestionRecord => {
        const { question_id, image_id, question } = checkRow(row, questionRow, where);
        const name = image_name
          .replaceAll('{subtype}', data_subtype.replace('-dev', ''))
          .replaceAll('{image_id}', String(image_id).padStart(12, '0'));
        return {
          id: String(question_id),
          imageId: String(image_id),
          image: imageFile(join(images, name), `${where}: field image_id`),
          question: checkQuestion(question, `${where} (${question_id}): field question`),
          ...(annotated
            ? answersOf(annotated.get(question_id), `${annotations}: question ${question_id}`)
            : checkAnswers(undefined, where)),
        };
      };
      return keepGood(make, onBad);
    });
    return recordsOf(records, onBad, questions);
  },
);

/** Annotations by question. A second one of the same question is bad. */
async function readAnnotations(file: string, onBad?: OnBad): Promise<Map<number, Annotation>> {
  const byQuestion = new Map<number, Annotation>();
  const { annotations } = await readJson(file, annotationFile);
  for (const [i, row] of annotations.entries()) {
    const where = `${file}: annotations.${i}`;
    for (const annotation of keepGood(() => checkRow(row, annotationRow, where), onBad)) {
      const { question_id: id } = annotation;
      if (byQuestion.has(id)) report(new DataError(`${where}: question ${id} is annotated already`), onBad);
      else byQuestion.set(id, { ...annotation, where });
    }
  }
  return byQuestion;
}

/** Throws DataError naming `asked` where there is no annotation, or the annotation as `checkAnswers` does. */
function answersOf(annotation: Annotation | undefined, asked: string) {
  if (annotation === undefined) throw new DataError(`${asked}: expected an annotation, found none`);
  const { answers, answer_type, question_id, where } = annotation;
  const texts = answers.map(({ answer }) => answer);
  return { ...checkAnswers(texts, `${where} (question ${question_id}): field answers`), kind: answer_type };
}
