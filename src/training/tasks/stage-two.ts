import { z } from 'zod';
import { type Random, random, UsageError, type Value } from '../../core/index.ts';
import type { ImageTextRecord } from '../../data/index.ts';
import { captionData, captionOf, captionSource } from '../captions.ts';
import { readLanguageModel } from '../language-model.ts';
import { type Lesson, trainLanguage } from '../language-steps.ts';
import { readStageOne } from '../pretrained.ts';
import { encoderKeys, runSection } from '../recipe.ts';
import type { Drawn } from '../step-images.ts';
import { defineTask } from '../task.ts';

const recipe = z.strictObject({
  task: z.literal('stage2'),
  model: z.strictObject({
    /** A folder that a stage-1 run wrote. */
    stage1: z.string(),
    /** Start from the stage-1 folder's configuration but not its Q-Former weights, which the paper shows to be worse. */
    from_scratch: z.boolean().default(false),
    language_model: z.string(),
    /** What captions go on from; the encoder of an encoder-decoder reads it. */
    prompt: z.string().default(''),
    /** For encoder-decoders: cut each caption at random in two, a prefix for the encoder and a suffix to write. */
    prefix_lm: z.boolean().default(false),
    ...encoderKeys({ frozen: true }),
  }),
  data: captionData,
  run: runSection('CIDEr').extend({
    /** The fully connected layer begins where its prompts are nearest to words: see ../prompts-of-words. */
    word_prompts: z.boolean().default(false),
  }),
});

/** Stage 2 (§3.3): a Q-Former from stage 1 and one fully connected layer learn to prompt a frozen language model. */
export const stageTwo = defineTask(recipe, async (recipe, options) => {
  const { model, run } = recipe;
  const { trained, config, ...one } = await readStageOne(model.stage1, model);
  const language = await readLanguageModel(model.language_model);
  if (model.prefix_lm && language.lm.kind === 'decoder') {
    throw new UsageError(
      `model.prefix_lm: expected an encoder-decoder, but ${model.language_model} is a decoder; leave the key out`,
    );
  }
  if (run.word_prompts && (model.from_scratch || !model.freeze_vit)) {
    const because = model.from_scratch ? 'model.from_scratch is true' : 'model.freeze_vit is false';
    throw new UsageError(`run.word_prompts: expected false, because ${because}`);
  }
  const task = {
    ...one,
    config: { ...config, ...(model.prompt !== '' && { caption_prompt: model.prompt }) },
    language,
    given: model.from_scratch ? new Map<string, Value>() : trained,
    isNew: (name: string) =>
      model.from_scratch ? !name.startsWith('vision_model.') : name.startsWith('language_projection.'),
    wordPrompts: run.word_prompts,
    ...captionSource(one.images, recipe),
    lesson: (drawn: Drawn<ImageTextRecord>) => {
      const caption = captionOf(drawn, run.seed);
      if (!model.prefix_lm) return wholeCaption(caption, model.prompt);
      const { dataset, epoch, index } = drawn;
      return splitCaption(caption, model.prompt, random(run.seed, 'prefix', dataset, epoch, index));
    },
  };
  return trainLanguage(recipe, task, options);
});

/** A caption to write after a prompt. */
export const wholeCaption = (text: string, prompt: string): Lesson => ({ prompt, targets: [{ text, weight: 1 }] });

/** Prefix language modelling (§3.3): the caption up to a random word, and the rest of it, which is never empty. */
export function splitCaption(caption: string, prompt: string, draws: Random): Lesson {
  const words = caption.split(' ');
  const cut = draws.below(words.length);
  const prefix = [prompt.trim(), ...words.slice(0, cut)].filter(Boolean).join(' ');
  return wholeCaption(words.slice(cut).join(' '), prefix);
}
