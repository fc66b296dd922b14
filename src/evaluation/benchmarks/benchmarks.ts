import { z } from 'zod';
import type { Benchmark } from './benchmark.ts';
import { cutouts } from './cutouts.ts';
import { scenes } from './scenes.ts';

/** Every benchmark, by the name that a recipe gives it: a new one is a file and a line here. */
export const benchmarks = { cutouts, scenes } satisfies Record<string, Benchmark>;

const [first, ...more] = Object.values(benchmarks).map(({ recipe }) => recipe);
/** What is evaluated, and how. */
export const evaluationRecipe = z.discriminatedUnion('benchmark', [first!, ...more]);
export type EvaluationRecipe = z.output<typeof evaluationRecipe>;
