import { Blip2 } from '../pipelines/index.ts';
import { benchmarks, type EvaluationRecipe, type Progress, type Report, Subject } from './benchmarks/index.ts';

export interface EvaluationOptions {
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Measures a model as a recipe says. Throws what `Blip2.fromPretrained` throws, DataError naming what cannot be read,
 * and the signal's reason.
 */
export async function evaluateModel(recipe: EvaluationRecipe, options: EvaluationOptions = {}): Promise<Report> {
  const { threads } = recipe.run;
  const { signal } = options;
  const model = await Blip2.fromPretrained(recipe.model, { ...(threads && { threads }), ...(signal && { signal }) });
  const subject = await Subject.open(model, {
    featureCache: recipe.data.feature_cache,
    batchSize: recipe.run.batch_size_eval,
    ...options,
  });
  try {
    return await benchmarks[recipe.benchmark].evaluate(subject, recipe);
  } finally {
    subject.close();
    await model.release();
  }
}
