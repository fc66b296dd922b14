import { z } from 'zod';
import type { Records } from '../../data/index.ts';
import { captionData } from '../captions.ts';
import { fromStageOne, objectivesRun, trainObjectives } from '../objectives-steps.ts';
import { readStageOne } from '../pretrained.ts';
import { encoderKeys } from '../recipe.ts';
import { defineTask } from '../task.ts';
import { stageOneKeys, withPiecesOf } from '../vocabulary.ts';

const recipe = z.strictObject({
  task: z.literal('retrieval'),
  model: z.strictObject({
    ...stageOneKeys,
    ...encoderKeys({ frozen: false }),
  }),
  data: captionData,
  run: objectivesRun,
});

/**
 * Fine-tuning for retrieval (§4.4): stage 1's objectives with the image encoder trained too. Captions of the same image in
 * a batch share ITC's target, and are never ITM's negatives.
 */
export const retrieval = defineTask(recipe, async (recipe, options) => {
  const { model } = recipe;
  const known = await readStageOne(model.pretrained, model);
  const qformer = (records: Records) => withPiecesOf(model.vocabulary, known, records);
  return trainObjectives(recipe, { images: known.images, qformer, ...fromStageOne, sharesTargets: true }, options);
});
