import { join } from 'node:path';
import { z } from 'zod';
import { type CutoutRow, type ImageTextRecord, nameOf, readCutouts } from '../../data/index.ts';
import {
  choosingRun,
  commonRun,
  cutoutData,
  defineBenchmark,
  evenly,
  predictionsOf,
  type Report,
  recipeOf,
} from './benchmark.ts';
import { NearestNeighbour } from './nearest-neighbour.ts';
import { evaluateRetrieval, type RetrievalOptions, rerankRun, textsOf } from './recall.ts';
import { scoreWritten } from './score-written.ts';
import type { Subject } from './subject.ts';

/** What of a set of cut-outs is held out, by what is new in it. */
const subsets: Readonly<Record<string, { split: string; holds: (row: CutoutRow) => boolean }>> = {
  /** Labels that training shows, in a style that it does not. */
  style: { split: 'heldout_style', holds: () => true },
  /** Emoji of labels that training does not show. */
  labels: { split: 'heldout_items', holds: ({ source }) => source.startsWith('emoji') },
  stamps: { split: 'heldout_items', holds: isStamp },
  photos: { split: 'heldout_items', holds: (row) => isStamp(row) && row.photo === true },
  clip_art: { split: 'heldout_items', holds: ({ source }) => source === 'openclipart' },
};

function isStamp({ source }: CutoutRow): boolean {
  return source.includes('tuxpaint');
}

/**
 * Pictures of one thing that training does not show: retrieval among each subset's own pictures and captions, before and
 * after ITM has read the best, and the captions that the model writes.
 */
export const cutouts = defineBenchmark(
  recipeOf('cutouts', {
    data: cutoutData,
    run: commonRun.extend({
      subsets: z.array(z.enum(Object.keys(subsets))).default(Object.keys(subsets)),
      ...rerankRun(10),
      ...choosingRun,
    }),
  }),
  async (subject, { data, run }) => {
    const rows = await readCutouts(data.path, { onBad: subject.onBad });
    const neighbour = await NearestNeighbour.among(subject, data.train);
    const reports: [string, Report][] = [];
    for (const name of run.subsets) {
      const { split, holds } = subsets[name]!;
      const wanted = evenly(
        rows.filter((row) => row.split === split && holds(row)),
        run.limit,
      );
      if (wanted.length === 0) continue;
      const records = wanted.map((row) => recordOf(data.path, row));
      reports.push([
        name,
        await evaluateSubset(subject, records, {
          name,
          neighbour,
          k: run.k_test,
          itcWeight: run.itc_weight,
          bestOf: run.best_of,
        }),
      ]);
    }
    return {
      metrics: Object.fromEntries(reports.map(([name, { metrics }]) => [name, metrics])),
      predictions: reports.flatMap(([, { predictions }]) => predictions),
      images: reports.flatMap(([, { images }]) => images),
    };
  },
);

const recordOf = (folder: string, { id, image, captions }: CutoutRow): ImageTextRecord => ({
  id: `${id}`,
  imageId: `${id}`,
  image: { kind: 'file', path: join(folder, image) },
  captions,
});

interface SubsetOptions extends Pick<RetrievalOptions, 'k' | 'itcWeight'> {
  readonly name: string;
  readonly neighbour: NearestNeighbour | undefined;
  readonly bestOf: number | undefined;
}

async function evaluateSubset(
  subject: Subject,
  listed: readonly ImageTextRecord[],
  { name, neighbour, bestOf, ...rerank }: SubsetOptions,
): Promise<Report> {
  const { records, pictures } = await subject.pictures(listed, name);
  const references = records.map(({ captions }) => captions);
  const retrieval = textsOf(references, { merged: true });
  const captions = await subject.captions(pictures, name, { bestOf });
  const nearest = neighbour?.captions(pictures);
  return {
    metrics: {
      images: records.length,
      texts: retrieval.texts.length,
      ...(subject.matches &&
        (await evaluateRetrieval(subject, pictures, { ...retrieval, ...rerank, part: name })).recalls),
      ...(captions && { captions: scoreWritten(captions, references) }),
      ...(nearest && { nearest_neighbour: scoreWritten(nearest, references) }),
    },
    predictions: predictionsOf(
      records.map(({ image }) => nameOf(image)),
      { references, captions, nearest },
    ),
    images: records.map(({ image }) => image),
  };
}
