import { z } from 'zod';
import { UsageError } from '../../core/index.ts';
import { groupByImage, nameOf, openDataset } from '../../data/index.ts';
import { blipCaption } from '../../text/index.ts';
import { captionLikelihood, scoreCaptions } from '../metrics/index.ts';
import {
  captionData,
  defineBenchmark,
  evenly,
  type Metrics,
  predictionsOf,
  recipeOf,
  submittedId,
  writingOptions,
  writingRun,
} from './benchmark.ts';

/**
 * Captions of any dataset: the official scorer's metrics, and how likely the model finds the captions that people wrote.
 * The submission is COCO's.
 */
export const captions = defineBenchmark(
  recipeOf('captions', {
    data: captionData,
    run: writingRun.extend({
      /** The words that captions begin with; they are not scored. */
      prompt: z.string().default(''),
      /** Whether to measure the log-likelihood of the references, which takes about as long as writing. */
      likelihood: z.boolean().default(true),
    }),
  }),
  async (subject, { model, data, run }) => {
    const records = evenly(groupByImage(await openDataset(data.test)), run.limit);
    const pictures = await subject.pictures(records, 'captions');
    const { prompt } = run;
    const written = await subject.captions(pictures, 'captions', { ...writingOptions(run), prompt });
    if (!written) throw new UsageError(`${model}: expected a model that writes captions; this one does not`);
    const references = records.map((record) => record.captions);
    const { corpus, perSample } = scoreCaptions(
      written.map((candidate, i) => ({ candidate, references: references[i]! })),
      ['cider', 'bleu', 'rouge-l'],
    );
    const likelihood = async (): Promise<Metrics> => {
      const given = records.flatMap(({ captions: texts }, i) =>
        texts.map((text) => ({ picture: pictures[i]!, text: blipCaption(text) })),
      );
      const found = captionLikelihood(await subject.logProbabilities(given, { prompt, part: 'captions' }));
      return { log_likelihood: found.meanLogLikelihood, perplexity: found.perplexity };
    };
    return {
      metrics: {
        images: records.length,
        captions: timesHundred(corpus),
        ...(run.likelihood && { references: await likelihood() }),
      },
      predictions: predictionsOf(
        records.map(({ image }) => nameOf(image)),
        { references, captions: written, nearest: undefined },
      ).map((prediction, i) => ({
        ...prediction,
        scores: timesHundred(Object.fromEntries(Object.entries(perSample).map(([name, all]) => [name, all[i]!]))),
      })),
      images: records.map(({ image }) => image),
      submission: records.map(({ imageId }, i) => ({ image_id: submittedId(imageId), caption: written[i]! })),
    };
  },
);

/** As papers print scores. */
const timesHundred = (scores: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(Object.entries(scores).map(([name, score]) => [name, 100 * score]));
