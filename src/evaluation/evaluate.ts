import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Blip2 } from '../pipelines/index.ts';
import type { Metrics } from '../report/index.ts';
import { benchmarks, type EvaluationRecipe, type Progress, type Report, Subject } from './benchmarks/index.ts';
import { evaluationReport, worstExamples } from './report/index.ts';

export interface EvaluationOptions {
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Leave out records that cannot be used, and report them, instead of stopping. */
  readonly skipBad?: boolean | undefined;
  readonly onMessage?: ((text: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Evaluation extends Report {
  /** The HTML page that shows it, of a recipe with an output folder to put it in. */
  readonly page: string | undefined;
}

/**
 * Measures a model as a recipe says. Throws what `Blip2.fromPretrained` throws, DataError naming what cannot be read,
 * and the signal's reason.
 */
export async function evaluateModel(recipe: EvaluationRecipe, options: EvaluationOptions = {}): Promise<Evaluation> {
  const { threads, precision } = recipe.run;
  const { signal } = options;
  const model = await Blip2.fromPretrained(recipe.model, {
    ...(threads && { threads }),
    ...(precision && { precision }),
    ...(signal && { signal }),
  });
  const subject = await Subject.open(model, {
    featureCache: recipe.data.feature_cache,
    batchSize: recipe.run.batch_size_eval,
    ...('views' in recipe.run && { views: recipe.run.views }),
    ...options,
  });
  try {
    const report = await benchmarks[recipe.benchmark].evaluate(subject, recipe);
    return { ...report, page: recipe.run.output_dir === undefined ? undefined : await pageOf(recipe, report, model) };
  } finally {
    subject.close();
    await model.release();
  }
}

async function pageOf(
  { benchmark, model: name, run }: EvaluationRecipe,
  report: Report,
  model: Blip2,
): Promise<string> {
  return evaluationReport({
    title: `${name}: ${benchmark}`,
    metrics: report.metrics,
    examples: await worstExamples(model, report, run.report_pictures),
    training: await trainingMetrics(model.files.folder),
  });
}

/** What the run measured whose `model/` this folder is, if it is one. */
async function trainingMetrics(folder: string): Promise<Metrics[]> {
  const file = join(dirname(resolve(folder)), 'metrics.jsonl');
  if (!existsSync(file)) return [];
  const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line.endsWith('}'));
  return lines.map((line) => JSON.parse(line));
}
