import { z } from 'zod';
import { datasetConfig } from '../../data/index.ts';
import type { Subject } from './subject.ts';

/** Figures by name, grouped as they belong together. */
export interface Metrics {
  readonly [name: string]: number | Metrics;
}

/** What was said of one picture. */
export interface Prediction {
  readonly image: string;
  /** What it should have said: any of these. */
  readonly references: readonly string[];
  /** By the model, if it writes. */
  readonly caption?: string;
  /** The caption of the nearest training picture, where there are training pictures to compare with. */
  readonly nearest?: string;
}

/** The predictions of pictures by several writers, each of which may be missing. */
export const predictionsOf = (
  images: readonly string[],
  {
    references,
    captions,
    nearest,
  }: {
    references: readonly (readonly string[])[];
    captions: readonly string[] | undefined;
    nearest: readonly string[] | undefined;
  },
): Prediction[] =>
  images.map((image, i) => ({
    image,
    references: references[i]!,
    ...(captions && { caption: captions[i]! }),
    ...(nearest && { nearest: nearest[i]! }),
  }));

export interface Report {
  readonly metrics: Metrics;
  readonly predictions: readonly Prediction[];
}

/** A set of pictures and what is measured on them. */
export interface Benchmark<Recipe extends z.ZodType = z.ZodType> {
  readonly recipe: Recipe;
  /** Throws UsageError where the model lacks what is measured, DataError naming what cannot be read. */
  evaluate(subject: Subject, recipe: unknown): Promise<Report>;
}

/** A benchmark from its recipes' schema and what measures. */
export const defineBenchmark = <Recipe extends z.ZodType>(
  recipe: Recipe,
  evaluate: (subject: Subject, recipe: z.output<Recipe>) => Promise<Report>,
): Benchmark<Recipe> => ({ recipe, evaluate: (subject, given) => evaluate(subject, recipe.parse(given)) });

const data = z.strictObject({
  /** A set of cut-outs: a folder with `data.jsonl`. */
  path: z.string(),
  /** Training pictures: where there are any, the caption of the nearest is scored beside the model's. */
  train: z.array(datasetConfig).default([]),
  /** Where image features are kept between runs. */
  feature_cache: z.string().default('.cache/features'),
});

export const commonRun = z.strictObject({
  /** Only so many pictures of every set, evenly spread over it; absent: all. */
  limit: z.int().positive().optional(),
  batch_size_eval: z.int().positive().default(64),
  threads: z.int().positive().optional(),
  /** Where `metrics.json` and `predictions.jsonl` go; absent: nowhere. */
  output_dir: z.string().optional(),
});

/** The schema of a benchmark's recipes; `run` is `commonRun` with the benchmark's own options. */
export const recipeOf = <Name extends string, Run extends z.ZodType>(benchmark: Name, run: Run) =>
  z.strictObject({
    task: z.literal('evaluate'),
    benchmark: z.literal(benchmark),
    /** A folder, a name that `blip2 list` shows, or a Hugging Face id. */
    model: z.string(),
    data,
    run,
  });

/** `limit` of a list's items, evenly spread over it. */
export function evenly<T>(items: readonly T[], limit = items.length): T[] {
  const count = Math.min(limit, items.length);
  return Array.from({ length: count }, (_, i) => items[Math.floor((i * items.length) / count)]!);
}
