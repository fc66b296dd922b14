import { z } from 'zod';
import type { Benchmark } from './benchmark.ts';
import { captions } from './captions.ts';
import { cutouts } from './cutouts.ts';
import { retrieval } from './retrieval.ts';
import { scenes } from './scenes.ts';
import { vqa } from './vqa.ts';

/** Every benchmark, by the name that a recipe gives it: a new one is a file and a line here. */
export const benchmarks = { captions, retrieval, vqa, cutouts, scenes } satisfies Record<string, Benchmark>;

const [first, ...more] = Object.values(benchmarks).map(({ recipe }) => recipe);
/** What is evaluated, and how. */
export const evaluationRecipe = z.discriminatedUnion('benchmark', [first!, ...more]);
export type EvaluationRecipe = z.output<typeof evaluationRecipe>;
