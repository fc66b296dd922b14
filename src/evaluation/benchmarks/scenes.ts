import {
  type ImageTextRecord,
  readCutouts,
  type Scene,
  scoredScenes,
  scoreSceneCaption,
  swapCaption,
} from '../../data/index.ts';
import { pairedBootstrap } from '../metrics/index.ts';
import {
  choosingRun,
  commonRun,
  cutoutData,
  defineBenchmark,
  evenly,
  type Metrics,
  predictionsOf,
  recipeOf,
} from './benchmark.ts';
import { NearestNeighbour } from './nearest-neighbour.ts';
import { scoreWritten, share } from './score-written.ts';
import type { Pictures, Subject } from './subject.ts';

/**
 * The 1,000 scored scenes: whether captions name every object and state a relation that holds, and whether the model can
 * tell a true caption from the same with two objects exchanged.
 */
export const scenes = defineBenchmark(
  recipeOf('scenes', { data: cutoutData, run: commonRun.extend(choosingRun) }),
  async (subject, { data, run }) => {
    const all = scoredScenes(await readCutouts(data.path, { onBad: subject.onBad }));
    const neighbour = await NearestNeighbour.among(subject, data.train);
    const listed = evenly(all, run.limit).map(recordOf(data.path));
    const { records, pictures } = await subject.pictures(listed, 'scenes');
    const scored = records.map(({ scene }) => scene);
    const captions = await subject.captions(pictures, 'scenes', { bestOf: run.best_of });
    const nearest = neighbour?.captions(pictures);
    return {
      metrics: {
        scenes: scored.length,
        ...(captions && { captions: scoreSceneCaptions(scored, captions) }),
        ...(nearest && { nearest_neighbour: scoreSceneCaptions(scored, nearest) }),
        ...(subject.matches && { swapped: await compareSwapped(subject, scored, pictures) }),
      },
      predictions: predictionsOf(
        records.map(({ id }) => id),
        { references: scored.map((scene) => scene.captions), captions, nearest },
      ),
      images: records.map(({ image }) => image),
    };
  },
);

const recordOf =
  (folder: string) =>
  (scene: Scene, i: number): ImageTextRecord & { readonly scene: Scene } => {
    const id = `scored scene ${i}`;
    return { id, imageId: id, image: { kind: 'scene', folder, scene }, captions: scene.captions, scene };
  };

/** CIDEr and the like, and what the words say of the scene: by whole noun phrases, and by head nouns alone. */
export function scoreSceneCaptions(scored: readonly Scene[], captions: readonly string[]): Metrics {
  const byWords = (lenient: boolean): Metrics => {
    const scores = scored.map((scene, i) => scoreSceneCaption(scene, captions[i]!, { lenient }));
    return {
      all_named: share(scores.map(({ allNamed }) => allNamed)),
      /** Of the captions that name all of several objects. */
      relation_right: share(scores.flatMap(({ relationRight }) => relationRight ?? [])),
    };
  };
  return {
    ...scoreWritten(
      captions,
      scored.map((scene) => scene.captions),
    ),
    strict: byWords(false),
    lenient: byWords(true),
  };
}

/**
 * How often the scene's caption scores above the same with two objects exchanged, by ITM and by ITC, and the difference
 * with its interval (paired bootstrap). Guessing gets 50 percent; a bag of words, which scores both the same, gets 0.
 */
async function compareSwapped(subject: Subject, scored: readonly Scene[], pictures: Pictures): Promise<Metrics> {
  const cases = scored.flatMap((scene, i) => {
    const swapped = swapCaption(scene);
    return swapped === undefined ? [] : [{ picture: pictures[i]!, texts: [scene.caption, swapped] }];
  });
  if (cases.length === 0) return { n: 0 };
  const texts = cases.flatMap((each) => each.texts); // the true caption of picture i at 2i, the swapped one after it
  const related = cases.map(({ picture }) => picture);
  const pairs = texts.map((_, text) => ({ image: Math.floor(text / 2), text }));
  const cosines = (await subject.cosines(related, texts, 'swapped captions')).data;
  const itc = pairs.map(({ image, text }) => cosines[image * texts.length + text]!);
  const itm = (await subject.matchPairs(related, texts, { pairs, part: 'swapped captions' })).map(({ logit }) => logit);
  const right = (scores: readonly number[]) => cases.map((_, i) => scores[2 * i]! > scores[2 * i + 1]!);
  const { difference, low, high } = pairedBootstrap(right(itm).map(Number), right(itc).map(Number), { seed: 1 });
  return {
    itm_right: share(right(itm)),
    itc_right: share(right(itc)),
    itm_minus_itc: { percent: 100 * difference, low: 100 * low, high: 100 * high },
  };
}
