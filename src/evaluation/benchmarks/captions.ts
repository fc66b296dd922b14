import { z } from 'zod';
import { UsageError } from '../../core/index.ts';
import { groupByImage, nameOf, openDataset } from '../../data/index.ts';
import { blipCaption } from '../../text/index.ts';
import { captionLikelihood, pairedBootstrap, scoreCaptions } from '../metrics/index.ts';
import {
  captionData,
  choosingRun,
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
      ...choosingRun,
      /** The words that captions begin with; they are not scored. Absent: those that the model was trained to go on from. */
      prompt: z.string().optional(),
      /**
       * Whether to measure the log-likelihood of the references, beside their own picture and beside another's: a model
       * that looks at pictures finds them less likely there. Takes about twice as long as writing.
       */
      likelihood: z.boolean().default(true),
    }),
  }),
  async (subject, { model, data, run }) => {
    const listed = evenly(groupByImage(await openDataset(data.test, subject.reading)), run.limit);
    const { records, pictures } = await subject.pictures(listed, 'captions');
    const { prompt, best_of: bestOf } = run;
    const written = await subject.captions(pictures, 'captions', { ...writingOptions(run), prompt, bestOf });
    if (!written) throw new UsageError(`${model}: expected a model that writes captions; this one does not`);
    const references = records.map((record) => record.captions);
    const { corpus, perSample } = scoreCaptions(
      written.map((candidate, i) => ({ candidate, references: references[i]! })),
      ['cider', 'bleu', 'rouge-l'],
    );
    const likelihood = async (): Promise<Metrics> => {
      const of = async (pictureOf: (record: number) => string) => {
        const given = records.flatMap(({ captions: texts }, i) =>
          texts.map((text) => ({ picture: pictureOf(i), text: blipCaption(text) })),
        );
        return captionLikelihood(await subject.logProbabilities(given, { prompt, part: 'captions' }));
      };
      const own = await of((i) => pictures[i]!);
      const metrics = { log_likelihood: own.meanLogLikelihood, perplexity: own.perplexity };
      if (records.length === 1) return metrics;
      const half = Math.floor(records.length / 2);
      const others = await of((i) => pictures[(i + half) % records.length]!);
      const { difference, low, high } = pairedBootstrap(own.perCaption, others.perCaption, { seed: 1 });
      return {
        ...metrics,
        shuffled_log_likelihood: others.meanLogLikelihood,
        shuffled_costs_per_caption: { nats: difference, low, high },
      };
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
