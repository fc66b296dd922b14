import { z } from 'zod';
import { UsageError } from '../../core/index.ts';
import { groupByImage, nameOf, openDataset } from '../../data/index.ts';
import { captionData, commonRun, defineBenchmark, evenly, recipeOf } from './benchmark.ts';
import { evaluateRetrieval, rerankRun, textsOf } from './recall.ts';

/**
 * Retrieval in any dataset, pictures by captions and captions by pictures, of which each may have several: by ITC alone
 * (`itc`), and with the best `k_test` ranked anew by ITM (`itm`) or by both together (`itc_itm`, and what that gains).
 */
export const retrieval = defineBenchmark(
  recipeOf('retrieval', {
    data: captionData,
    run: commonRun.extend({
      ...rerankRun(128), // §4.4
      /** Captions that several pictures share are one text, which any of them answers. The official evaluation: no. */
      merge_captions: z.boolean().default(false),
    }),
  }),
  async (subject, { model, data, run }) => {
    if (!subject.matches) throw new UsageError(`${model}: expected a model that compares images with texts`);
    const listed = evenly(groupByImage(await openDataset(data.test, subject.reading)), run.limit);
    const { records, pictures } = await subject.pictures(listed, 'retrieval');
    const references = records.map(({ captions }) => captions);
    const among = textsOf(references, { merged: run.merge_captions });
    const options = { ...among, k: run.k_test, itcWeight: run.itc_weight, part: 'retrieval' };
    const { recalls, found } = await evaluateRetrieval(subject, pictures, options);
    return {
      metrics: { images: records.length, texts: among.texts.length, ...recalls },
      predictions: records.map(({ image, captions }, i) => ({
        image: nameOf(image),
        references: captions,
        retrieved: found[i]!.text,
        scores: { reciprocal_rank: found[i]!.reciprocalRank },
      })),
      images: records.map(({ image }) => image),
    };
  },
);
