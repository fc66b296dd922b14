import { z } from 'zod';
import { ConfigError, DataError, type Value } from '../../core/index.ts';
import { openQuestions, type QuestionRecord, questionDatasetConfig } from '../../data/index.ts';
import { wordTable } from '../../models/index.ts';
import { blipQuestion, fillIn } from '../../text/index.ts';
import { trainLanguage } from '../language-steps.ts';
import { type PretrainedModel, readStageTwo } from '../pretrained.ts';
import { dataSection, encoderKeys, runSection } from '../recipe.ts';
import type { Drawn } from '../step-images.ts';
import { defineTask } from '../task.ts';

const recipe = z.strictObject({
  task: z.literal('vqa'),
  model: z.strictObject({
    /** A folder that a stage-2 run wrote, or a published BLIP-2. */
    pretrained: z.string(),
    /** The words around a question, which stands where {} does. */
    prompt: z
      .string()
      .refine((prompt) => prompt.includes('{}'), { error: 'expected a template with {} in place of the question' })
      .default('Question: {} Answer:'),
    /** The Q-Former reads the question beside the picture; without, only the language model knows what was asked. */
    qformer_text_input: z.boolean().default(true),
    ...encoderKeys({ frozen: false }),
  }),
  data: dataSection(questionDatasetConfig).extend({
    /** How many answers of a question are learnt, the most frequent ones, each by the share of people who gave it. */
    answers_per_question: z.int().positive().default(1),
  }),
  run: runSection('accuracy'),
});

/**
 * Fine-tuning for questions (§4.3): the question goes to the language model and, so that the queries look at what it asks
 * about, to the Q-Former as text beside them. Loss on the answers. The image encoder trains too.
 */
export const vqa = defineTask(recipe, async (recipe, options) => {
  const { model, data } = recipe;
  const start = await readStageTwo(model.pretrained, model);
  const { trained, config, ...two } = model.qformer_text_input ? withReader(start, model.pretrained) : start;
  const task = {
    ...two,
    config: { ...config, question_prompt: model.prompt },
    given: trained,
    instructed: model.qformer_text_input,
    dataset: openQuestions,
    targets: data.answers_per_question,
    lesson: ({ record }: Drawn<QuestionRecord>) => {
      if (record.answers.length === 0) throw new DataError(`question ${record.id}: expected an answer, found none`);
      return { prompt: fillIn(model.prompt, blipQuestion(record.question)), targets: record.answers };
    },
  };
  return trainLanguage(recipe, task, options);
});

/** The model with the Q-Former's text side under InstructBLIP's names, whose queries read texts too. */
function withReader<M extends PretrainedModel>(model: M, folder: string): M {
  const trained = new Map<string, Value>(
    [...model.trained].map(([name, v]) => [
      name
        .replace(/^embeddings\./, 'qformer.embeddings.')
        .replace(/^qformer\.layernorm\./, 'qformer.embeddings.layernorm.'),
      v,
    ]),
  );
  if (model.files && trained.has(`qformer.${wordTable}`)) return { ...model, trained };
  throw new ConfigError(
    `${folder}: expected a Q-Former that reads text, but there is no ${wordTable} with a ` +
      'tokenizer; model.qformer_text_input=false does without',
  );
}
