export type { Progress } from './loop.ts';
export type { Recipe } from './recipe.ts';
export { readRecipeFile } from './recipe-file.ts';
export { type TrainGraph, TrainStep, type TrainStepOptions } from './step.ts';
export type { TrainOptions } from './task.ts';
export { readRecipe } from './tasks/index.ts';
export { train } from './train.ts';
