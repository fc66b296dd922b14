import { z } from 'zod';
import type { Recipe } from '../recipe.ts';
import { readRecipeFile } from '../recipe-file.ts';
import type { Task, TaskType, TrainOptions } from '../task.ts';
import { caption } from './caption.ts';
import { retrieval } from './retrieval.ts';
import { stageOne } from './stage-one.ts';
import { stageTwo } from './stage-two.ts';
import { vqa } from './vqa.ts';

/** The kinds of training, by the `task` that a recipe names: a new one is a file and a line here. */
const tasks = { stage1: stageOne, stage2: stageTwo, caption, vqa, retrieval } satisfies Record<string, TaskType>;

const [first, ...more] = Object.values(tasks).map(({ recipe }) => recipe);
const anyRecipe = z.discriminatedUnion('task', [first!, ...more]);

/** Reads a training recipe; see `readRecipeFile`. */
export const readRecipe = (file: string, overrides?: readonly string[]): Promise<Recipe> =>
  readRecipeFile(anyRecipe, file, overrides);

/** What a recipe's task makes of it. Throws as the task does. */
export function openTask(recipe: Recipe, options: TrainOptions): Promise<Task> {
  const types: Readonly<Record<string, TaskType>> = tasks;
  return types[recipe.task]!.open(recipe, options);
}
