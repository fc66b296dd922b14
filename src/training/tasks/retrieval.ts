import { z } from 'zod';
import { captionData } from '../captions.ts';
import { fromStageOne, objectivesRun, trainObjectives } from '../objectives-steps.ts';
import { readStageOne, stageOneKeys } from '../pretrained.ts';
import { encoderKeys } from '../recipe.ts';
import { defineTask } from '../task.ts';

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
  const { images, ...qformer } = await readStageOne(recipe.model.pretrained, recipe.model);
  const start = { images, qformer: async () => qformer, ...fromStageOne, sharesTargets: true };
  return trainObjectives(recipe, start, options);
});
