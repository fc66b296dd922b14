import { z } from 'zod';
import { datasetConfig, type ImageSource, questionDatasetConfig } from '../../data/index.ts';
import { mostViews, precisionChoices } from '../../pipelines/index.ts';
import type { Subject } from './subject.ts';

/** Figures by name, grouped as they belong together. */
export interface Metrics {
  readonly [name: string]: number | Metrics;
}

/** What was said of one picture. */
export interface Prediction {
  readonly image: string;
  readonly question?: string;
  /** The question in its template: what the model was asked. */
  readonly prompt?: string;
  /** What should have been said: any of these. */
  readonly references: readonly string[];
  /** By the model, if it writes. */
  readonly caption?: string;
  /** The text that the model finds first. */
  readonly retrieved?: string;
  /** By the model, to the question. */
  readonly answer?: string;
  /** The caption of the nearest training picture, where there are training pictures to compare with. */
  readonly nearest?: string;
  /** How good that is, by the names of the metrics. */
  readonly scores?: Readonly<Record<string, number>>;
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
  /** The picture of each prediction. */
  readonly images: readonly ImageSource[];
  /** The predictions as the benchmark's makers take them, where there is such a format: rows of a JSON list. */
  readonly submission?: readonly object[];
}

/** A number where a submission takes one; other names stay texts. */
export const submittedId = (id: string): number | string =>
  /^\d+$/.test(id) && Number.isSafeInteger(Number(id)) ? Number(id) : id;

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

const commonData = z.strictObject({
  /** Where image features are kept between runs. */
  feature_cache: z.string().default('.cache/features'),
});

/** What benchmarks on a set of cut-outs read. */
export const cutoutData = commonData.extend({
  /** A folder with `data.jsonl`. */
  path: z.string(),
  /** Training pictures: where there are any, the caption of the nearest is scored beside the model's. */
  train: z.array(datasetConfig).default([]),
});

/** What benchmarks on any dataset with captions read. */
export const captionData = commonData.extend({ test: datasetConfig });

/** What benchmarks on any dataset with questions read. */
export const questionData = commonData.extend({ test: questionDatasetConfig });

export const commonRun = z.strictObject({
  /** Only so many pictures of every set, evenly spread over it; absent: all. */
  limit: z.int().positive().optional(),
  batch_size_eval: z.int().positive().default(64),
  threads: z.int().positive().optional(),
  /** What linear layers compute in; absent: as the model is kept. */
  precision: z.enum(precisionChoices).optional(),
  /** Where `metrics.json`, `predictions.jsonl`, `submission.json` and `report.html` go; absent: nowhere. */
  output_dir: z.string().optional(),
  /** So many pictures are in the report, the worst. */
  report_pictures: z.int().nonnegative().default(24),
});

/** What captions are chosen by, where a model's own likelihood of one view of each picture is not to choose alone. */
export const choosingRun = {
  /** So many captions of each picture are written, from which ITC helps to choose: CaptionOptions.bestOf. Absent: greedy. */
  best_of: z.int().positive().optional(),
  /** So many views of each picture are looked at: CaptionOptions.views. */
  views: z.int().min(1).max(mostViews).default(1),
};

/** How text is written, in LAVIS's words; lengths are of new tokens. */
export const writingRun = commonRun.extend({
  num_beams: z.int().positive().default(5),
  max_len: z.int().positive().default(30),
  min_len: z.int().nonnegative().default(1),
  length_penalty: z.number().default(1),
});

/** The options of `writingRun` by their names in the library. */
export const writingOptions = (run: z.output<typeof writingRun>) => ({
  numBeams: run.num_beams,
  maxNewTokens: run.max_len,
  minNewTokens: run.min_len,
  lengthPenalty: run.length_penalty,
});

/** The schema of a benchmark's recipes: `run` is `commonRun` with the benchmark's own options. */
export const recipeOf = <Name extends string, Data extends z.ZodType, Run extends z.ZodType>(
  benchmark: Name,
  { data, run }: { data: Data; run: Run },
) =>
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
