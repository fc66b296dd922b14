/** What quantisation costs a trained model: its captions and its recall on every held-out picture, beside fp32's. */
import { type Evaluation, evaluateModel, evaluationRecipe, type Metrics } from '../src/evaluation/index.ts';
import type { PrecisionChoice } from '../src/pipelines/index.ts';
import type { Claim, Row } from './measure.ts';

const environment = {
  /** A model that `blip2 train` wrote, of stage 1 or 2. */
  model: process.env.MODEL ?? 'runs/pocket/model',
  dataset: process.env.DATASET_DIR ?? '../shared/dataset',
  limit: process.env.LIMIT === undefined ? undefined : Number(process.env.LIMIT),
};

export const quality: Claim = {
  description: 'a trained model (MODEL) in int8 and int4 beside fp32, on every held-out picture: captions and recall',
  async *run() {
    const exact = await evaluated('fp32');
    for (const precision of ['int8', 'int4'] as const) {
      const found = await evaluated(precision);
      yield* captionRows(precision, exact, found);
      yield* recallRows(precision, exact, found);
    }
  },
};

const evaluated = (precision: PrecisionChoice): Promise<Evaluation> => {
  const { model, dataset, limit } = environment;
  const run = { precision, limit, k_test: 10 };
  const recipe = { task: 'evaluate', benchmark: 'cutouts', model, data: { path: dataset }, run };
  return evaluateModel(evaluationRecipe.parse(recipe));
};

/** Captions that are the same to the letter, and CIDEr of each subset. */
function* captionRows(precision: PrecisionChoice, exact: Evaluation, found: Evaluation): Generator<Row> {
  const same = found.predictions.filter(({ caption }, i) => caption === exact.predictions[i]!.caption);
  yield {
    ...{ name: `quality-${precision}-identical`, unit: 'percent' },
    ...beside((100 * same.length) / found.predictions.length, 100),
  };
  for (const [subset, metrics] of groups(found.metrics)) {
    const ours = at(metrics, 'captions', 'CIDEr');
    const peer = at(exact.metrics, subset, 'captions', 'CIDEr');
    if (ours !== undefined && peer !== undefined) {
      yield { name: `quality-${precision}-${subset}-cider`, unit: 'CIDEr', ...beside(ours, peer) };
    }
  }
}

/** R@1 in both directions, by ITC and after ITM. */
function* recallRows(precision: PrecisionChoice, exact: Evaluation, found: Evaluation): Generator<Row> {
  for (const [subset, metrics] of groups(found.metrics)) {
    for (const ranking of ['itc', 'itc_itm']) {
      for (const recall of ['txt_r1', 'img_r1']) {
        const ours = at(metrics, ranking, recall);
        const peer = at(exact.metrics, subset, ranking, recall);
        if (ours === undefined || peer === undefined) continue;
        yield { name: `quality-${precision}-${subset}-${ranking}-${recall}`, unit: 'percent', ...beside(ours, peer) };
      }
    }
  }
}

const groups = (metrics: Metrics): [string, Metrics][] =>
  Object.entries(metrics).flatMap(([name, value]) => (typeof value === 'number' ? [] : [[name, value]]));

/** The number at a path, if there is one. */
function at(metrics: Metrics, ...path: string[]): number | undefined {
  const found = path.reduce<number | Metrics | undefined>(
    (value, name) => (typeof value === 'object' ? value[name] : undefined),
    metrics,
  );
  return typeof found === 'number' ? found : undefined;
}

/** More is better here: the ratio is ours over the peer's. */
const beside = (ours: number, peer: number) => ({ ours, peer, ratio: Number((ours / peer).toFixed(4)) });
