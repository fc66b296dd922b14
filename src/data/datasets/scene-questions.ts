import { z } from 'zod';
import type { Question, QuestionKind } from '../scenes/index.ts';
import { checkAnswers, defineDataset, type QuestionRecord } from './dataset.ts';
import { sceneComposer, sceneOptions } from './scenes.ts';

const kinds = ['what', 'how many', 'color', 'where', 'is there'] as const satisfies QuestionKind[];

/** The questions about the scenes of `scenes` with the same options: an equal one is asked once, with all its answers. */
export const sceneQuestions = defineDataset(
  sceneOptions.extend({
    /** Only questions of these kinds. */
    kinds: z.array(z.enum(kinds)).default([...kinds]),
    /** Only about scenes of so many different things: of two or more, a question says which one it is about. */
    min_objects: z.int().positive().default(1),
  }),
  async (options, onBad) => {
    const { path, n, seed } = options;
    const compose = await sceneComposer(options, onBad);
    const wanted = new Set<QuestionKind>(options.kinds);
    const asked = Array.from({ length: n }, (_, index) => {
      const { objects, questions } = compose(index);
      if (objects.length < options.min_objects) return [];
      return firstAsked(questions)
        .filter((i) => wanted.has(questions[i]!.kind))
        .map((i) => [index, i] as const);
    }).flat();
    return {
      length: asked.length,
      record(number): QuestionRecord {
        const [index, i] = asked[number]!;
        const scene = compose(index);
        const { question, kind } = scene.questions[i]!;
        const answers = scene.questions.filter((each) => each.question === question).map(({ answer }) => answer);
        const imageId = `scene ${seed}-${index}`;
        return {
          id: `${imageId}, question ${i}`,
          imageId,
          image: { kind: 'scene', folder: path, scene },
          question,
          ...checkAnswers(answers, imageId),
          kind,
        };
      },
    };
  },
);

/** The places of different questions: a thing to the left of another may be above a third, and is asked for once. */
function firstAsked(questions: readonly Question[]): number[] {
  const texts = questions.map(({ question }) => question);
  return [...texts.keys()].filter((i) => texts.indexOf(texts[i]!) === i);
}
