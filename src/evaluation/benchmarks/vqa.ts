import { z } from 'zod';
import { UsageError } from '../../core/index.ts';
import { nameOf, openQuestions, type QuestionRecord, readAnswerList } from '../../data/index.ts';
import { blipQuestion, fillIn } from '../../text/index.ts';
import { mean, normaliseAnswer, vqaAccuracy } from '../metrics/index.ts';
import {
  defineBenchmark,
  evenly,
  type Metrics,
  questionData,
  recipeOf,
  submittedId,
  writingOptions,
  writingRun,
} from './benchmark.ts';
import type { Subject } from './subject.ts';

/** How an answer is compared with what people said, in percent. */
const rules = {
  /** The official VQA evaluation, for questions that several people answered. */
  official: (answer: string, references: readonly string[]) => vqaAccuracy(answer, references, 'official'),
  /** The same as LAVIS computes it. */
  lavis: (answer: string, references: readonly string[]) => vqaAccuracy(answer, references, 'lavis'),
  /** For questions with few answers (GQA: one): equal to one of them after the official normalisation. */
  exact: (answer: string, references: readonly string[]) =>
    references.some((reference) => normaliseAnswer(reference) === normaliseAnswer(answer)) ? 100 : 0,
};
type Rule = keyof typeof rules;

/** LAVIS, lavis/projects/blip2/eval/vqav2_zeroshot_flant5xl_eval.yaml. */
const referencePrompt = 'Question: {} Short answer:';

/**
 * Questions about pictures of any dataset, answered by writing or by ranking a list of answers. Accuracy is told apart by
 * kinds of questions; where the answers are not public there is only the submission.
 */
export const vqa = defineBenchmark(
  recipeOf('vqa', {
    data: questionData,
    run: writingRun.extend({
      max_len: z.int().positive().default(10),
      /** Below 0: short answers are favoured, as LAVIS does. */
      length_penalty: z.number().default(-1),
      /** The words around a question. Absent: those of the model's fine-tuning, or else the reference's. */
      prompt: z.string().includes('{}').optional(),
      inference_method: z.enum(['generate', 'rank']).default('generate'),
      /** A JSON list of the answers to rank. */
      answer_list: z.string().optional(),
      /** Absent: official for questions that at least four people answered, which it needs to be able to say 100, else exact. */
      rule: z.enum(Object.keys(rules) as [Rule]).optional(),
    }),
  }),
  async (subject, { model, data, run }) => {
    if (!subject.answersQuestions) throw new UsageError(`${model}: expected a model with a language model to ask`);
    const candidates = await candidatesOf(run);
    const dataset = await openQuestions(data.test, subject.reading);
    const all = Array.from({ length: dataset.length }, (_, i) => dataset.record(i));
    const { records, pictureOf } = await picturesOf(subject, evenly(all, run.limit));
    const template = run.prompt ?? subject.questionPrompt ?? referencePrompt;
    const asked = records.map(({ question, imageId }) => ({
      picture: pictureOf.get(imageId)!,
      prompt: fillIn(template, blipQuestion(question)),
    }));
    const answers = await subject.answers(asked, { ...writingOptions(run), candidates, part: 'vqa' });
    const scores = records.map((record, i) => accuracyOf(record, answers[i]!, run.rule));
    return {
      metrics: { questions: records.length, ...accuracies(records, scores) },
      predictions: records.map(({ image, question, references }, i) => {
        const accuracy = scores[i];
        const scored = accuracy === undefined ? {} : { scores: { accuracy } };
        const { prompt } = asked[i]!;
        return { image: nameOf(image), question, prompt, references, answer: answers[i]!, ...scored };
      }),
      images: records.map(({ image }) => image),
      submission: records.map(({ id }, i) =>
        data.test.type === 'gqa'
          ? { questionId: id, prediction: answers[i]! }
          : { question_id: submittedId(id), answer: answers[i]! },
      ),
    };
  },
);

async function candidatesOf(run: {
  inference_method: 'generate' | 'rank';
  answer_list?: string | undefined;
}): Promise<string[] | undefined> {
  if (run.inference_method === 'generate') return undefined;
  if (run.answer_list !== undefined) return readAnswerList(run.answer_list);
  throw new UsageError('run.answer_list: expected a JSON list of answers to rank, found none');
}

/** The pictures of questions, of which several may be about the same one, and the questions whose picture can be used. */
async function picturesOf(
  subject: Subject,
  asked: readonly QuestionRecord[],
): Promise<{ records: QuestionRecord[]; pictureOf: ReadonlyMap<string, string> }> {
  const byImage = new Map(asked.map(({ imageId, image }) => [imageId, { id: imageId, imageId, image }]));
  const { records: usable, pictures } = await subject.pictures([...byImage.values()], 'vqa');
  const pictureOf = new Map(usable.map(({ imageId }, i) => [imageId, pictures[i]!]));
  return { records: asked.filter(({ imageId }) => pictureOf.has(imageId)), pictureOf };
}

/** In percent; undefined where the right answer is not public. */
function accuracyOf(
  { id, references }: QuestionRecord,
  answer: string,
  rule: Rule = references.length < 4 ? 'exact' : 'official',
): number | undefined {
  if (references.length === 0) return undefined;
  if (references.length === 1 && rule !== 'exact') {
    throw new UsageError(`run.rule: ${rule} wants several people's answers, and question ${id} has one; use exact`);
  }
  return rules[rule](answer, references);
}

/** Of all questions and of each kind. */
function accuracies(records: readonly QuestionRecord[], scores: readonly (number | undefined)[]): Metrics {
  const known = records.flatMap(({ kind }, i) => (scores[i] === undefined ? [] : [{ kind, score: scores[i] }]));
  if (known.length === 0) return {};
  const kinds = new Set(known.flatMap(({ kind }) => kind ?? []));
  const byKind = [...kinds].map((kind) => [kind, meanScore(known.filter((each) => each.kind === kind))] as const);
  return { accuracy: { overall: meanScore(known), ...Object.fromEntries(byKind) } };
}

const meanScore = (scored: readonly { score: number }[]): number => mean(scored.map(({ score }) => score));
