import { z } from 'zod';
import type { ImageTextRecord } from '../../data/index.ts';
import { captionData, captionOf, captionSource } from '../captions.ts';
import { trainLanguage } from '../language-steps.ts';
import { readStageTwo } from '../pretrained.ts';
import { encoderKeys, runSection } from '../recipe.ts';
import type { Drawn } from '../step-images.ts';
import { defineTask } from '../task.ts';
import { wholeCaption } from './stage-two.ts';

const recipe = z.strictObject({
  task: z.literal('caption'),
  model: z.strictObject({
    /** A folder that a stage-2 run wrote, or a published BLIP-2. */
    pretrained: z.string(),
    /** What captions go on from. */
    prompt: z.string().default('a photo of'),
    ...encoderKeys({ frozen: false }),
  }),
  data: captionData,
  run: runSection('CIDEr'),
});

/** Fine-tuning for captions (§4.2): stage 2's loss with the image encoder trained too, after a prompt that is kept. */
export const caption = defineTask(recipe, async (recipe, options) => {
  const { model, run } = recipe;
  const { trained, config, ...two } = await readStageTwo(model.pretrained, model);
  const task = {
    ...two,
    config: { ...config, caption_prompt: model.prompt },
    given: trained,
    ...captionSource(two.images, recipe),
    lesson: (drawn: Drawn<ImageTextRecord>) => wholeCaption(captionOf(drawn, run.seed), model.prompt),
  };
  return trainLanguage(recipe, task, options);
});
