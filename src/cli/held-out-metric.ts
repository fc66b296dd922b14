import { join } from 'node:path';
import { UsageError } from '../core/index.ts';
import { type EvaluationOptions, evaluateModel, evaluationRecipe, metricGroups } from '../evaluation/index.ts';
import type { Recipe, TrainOptions } from '../training/index.ts';

/** The benchmark behind each metric that a training recipe can name, and which of its figures are averaged. */
const benchmarks: Readonly<Record<string, { name: string; run: object; figures: readonly string[] }>> = {
  CIDEr: { name: 'captions', run: { num_beams: 1, likelihood: false }, figures: ['captions.CIDEr'] },
  recall: { name: 'retrieval', run: { k_test: 0 }, figures: ['itc.txt_r1', 'itc.img_r1'] },
  accuracy: { name: 'vqa', run: { num_beams: 1 }, figures: ['accuracy.overall'] },
};

/**
 * What measures a recipe's `run.eval_metric` on its held-out data, as `blip2 evaluate` does, but written greedily; undefined
 * where the loss is all that counts. Throws UsageError where there is more than one held-out dataset.
 */
export function heldOutMetric(recipe: Recipe, options: EvaluationOptions): TrainOptions['measure'] {
  const { model, data, run } = recipe;
  const benchmark = benchmarks[run.eval_metric];
  if (!benchmark || !data.eval) return undefined;
  const [test, ...more] = data.eval;
  if (more.length > 0)
    throw new UsageError(`run.eval_metric: expected one dataset in data.eval, found ${data.eval.length}`);
  return async (folder) => {
    const { metrics } = await evaluateModel(
      evaluationRecipe.parse({
        task: 'evaluate',
        benchmark: benchmark.name,
        model: folder,
        // Features of an encoder that trains are of no use later.
        data: { test, feature_cache: model.freeze_vit ? data.feature_cache : join(folder, 'features') },
        run: {
          ...benchmark.run,
          ...(model.prompt !== undefined && { prompt: model.prompt }),
          limit: run.eval_limit,
          batch_size_eval: run.batch_size_train,
          threads: run.threads,
        },
      }),
      options,
    );
    const all = [...metricGroups(metrics)].flatMap(({ path, figures }) =>
      figures.map(([name, figure]) => [[...path, name].join('.'), figure] as const),
    );
    const wanted = all.filter(([name]) => benchmark.figures.includes(name));
    return wanted.reduce((sum, [, figure]) => sum + figure / wanted.length, 0);
  };
}
