import { z } from 'zod';
import { floats, type Value } from '../../core/index.ts';
import { type Pair, rerankScore } from '../../pipelines/index.ts';
import { pairedBootstrap, ranksOf, recallAtK } from '../metrics/index.ts';
import type { Metrics } from './benchmark.ts';
import type { Pictures, Subject } from './subject.ts';

/** What a benchmark's `run` says of the second reading. */
export const rerankRun = (candidates: number) => ({
  /** How many candidates of each query ITM reads; 0: none. */
  k_test: z.int().nonnegative().default(candidates),
  /** How many of ITM's logits a cosine is worth in `itc_itm`; absent: as the model's config.json says, else 1, as LAVIS. */
  itc_weight: z.number().nonnegative().optional(),
});

export interface RetrievalOptions {
  /** What is searched. */
  readonly texts: readonly string[];
  /** Whether a text, by its place, is right for a picture. */
  readonly isPair: (image: number, text: number) => boolean;
  /** `k_test` and `itc_weight` of {@link rerankRun}. */
  readonly k: number;
  readonly itcWeight: number | undefined;
  readonly part: string;
}

/**
 * The texts of pictures with several captions each: every caption is a text and right for its own picture alone, as in the
 * official evaluation, or, merged, equal captions are one text, and right for every picture that has it.
 */
export function textsOf(
  references: readonly (readonly string[])[],
  { merged }: { merged: boolean },
): Pick<RetrievalOptions, 'texts' | 'isPair'> {
  if (merged) {
    const captions = references.map((each) => new Set(each));
    const texts = [...new Set(references.flat())];
    return { texts, isPair: (image, text) => captions[image]!.has(texts[text]!) };
  }
  const imageOf = references.flatMap((captions, image) => captions.map(() => image));
  return { texts: references.flat(), isPair: (image, text) => imageOf[text] === image };
}

export interface Retrieval {
  readonly recalls: Metrics;
  /** What every picture finds by ITC. */
  readonly found: readonly Found[];
}

export interface Found {
  /** The best text. */
  readonly text: string;
  /** 1 where the best is one of its own captions, 1/2 where the second is, … */
  readonly reciprocalRank: number;
}

/**
 * Pictures and texts searched by each other: by ITC alone, and with the best read again by ITM, with and without ITC. What the
 * sum gains over ITC alone is the difference in R@1 over the queries of both directions, with its interval (paired bootstrap
 * of pictures with their captions).
 */
export async function evaluateRetrieval(
  subject: Subject,
  pictures: Pictures,
  { texts, isPair, k, itcWeight = subject.itcWeight, part }: RetrievalOptions,
): Promise<Retrieval> {
  const itc = await subject.cosines(pictures, texts, part);
  const scores = { itc, isPair, texts };
  const found = foundByCosine(scores);
  if (k === 0) return { recalls: { itc: recallOf(ranksByCosine(scores)) }, found };
  const candidates = bestByCosine(itc, k);
  const { pairs } = candidates;
  const itm = (await subject.matchPairs(pictures, texts, { pairs, part })).map(({ logit }) => logit);
  const sum = pairs.map(({ image, text }, i) =>
    rerankScore({ itc: itc.data[image * texts.length + text]!, logit: itm[i]! }, itcWeight),
  );
  const [before, after] = [ranksByCosine(scores), ranksAnew(scores, candidates, sum)];
  const recalls = {
    itc: recallOf(before),
    itm: recallOf(ranksAnew(scores, candidates, itm)),
    itc_itm: recallOf(after),
    itc_itm_gain: gainOf(before, after, isPair),
  };
  return { recalls, found };
}

function gainOf(before: Ranks, after: Ranks, isPair: Scores['isPair']): Metrics {
  const pictures = [...before.ofTexts.keys()];
  const pictureOf = before.ofImages.map((_, text) => pictures.find((image) => isPair(image, text))!);
  const share = (100 * pictures.length) / (pictures.length + pictureOf.length);
  /** What each picture's own query and those of its captions add to R@1, so that their mean is R@1. */
  const firsts = ({ ofTexts, ofImages }: Ranks): number[] => {
    const found = ofTexts.map((rank) => (rank === 0 ? share : 0));
    for (const [text, rank] of ofImages.entries()) if (rank === 0) found[pictureOf[text]!]! += share;
    return found;
  };
  const { difference, low, high } = pairedBootstrap(firsts(after), firsts(before), { seed: 1 });
  return { percent: difference, low, high };
}

function foundByCosine({ itc, isPair, texts }: Scores): Found[] {
  const firsts = best(itc, 1).map((only) => texts[[...only][0]!]!);
  return ranksOf(itc, isPair, texts).map((rank, image) => ({ text: firsts[image]!, reciprocalRank: 1 / (1 + rank) }));
}

/** Scores of images with texts, where a text may belong to several images. */
export interface Scores {
  /** ITC: the cosine of every image with every text, [I, T]. */
  readonly itc: Value<'float32'>;
  /** Whether a text is one of an image's captions. */
  readonly isPair: (image: number, text: number) => boolean;
  readonly texts: readonly string[];
}

/** The rank of the best right candidate, 0 for the first: of each image's texts, and of each text's images. */
export interface Ranks {
  readonly ofTexts: readonly number[];
  readonly ofImages: readonly number[];
}

export const ranksByCosine = ({ itc, isPair, texts }: Scores): Ranks => ({
  ofTexts: ranksOf(itc, isPair, texts),
  ofImages: ranksOf(transpose(itc), (text, image) => isPair(image, text)),
});

/** The two-step search of the paper (§4.4): what ITM reads of both directions' `k` best by cosine. */
export interface Candidates {
  /** [I, T] and [T, I]: whether a candidate is among its query's best. */
  readonly ofImage: readonly ReadonlySet<number>[];
  readonly ofText: readonly ReadonlySet<number>[];
  /** All of them as pairs, those of one image after each other. */
  readonly pairs: readonly Pair[];
}

export function bestByCosine(itc: Value<'float32'>, k: number): Candidates {
  const ofImage = best(itc, k);
  const ofText = best(transpose(itc), k);
  const byImage = ofImage.map((texts) => new Set(texts));
  for (const [text, images] of ofText.entries()) for (const image of images) byImage[image]!.add(text);
  const pairs = byImage.flatMap((texts, image) => [...texts].sort((a, b) => a - b).map((text) => ({ image, text })));
  return { ofImage, ofText, pairs };
}

/** Ranks after the candidates have been ranked anew, by a score of each pair in their order; the rest stays behind. */
export function ranksAnew({ itc, isPair, texts }: Scores, candidates: Candidates, score: readonly number[]): Ranks {
  const { ofImage, ofText, pairs } = candidates;
  const ranked = (among: (pair: Pair) => boolean): Value<'float32'> => {
    const data = new Float32Array(itc.data.length).fill(-Infinity);
    for (const [i, pair] of pairs.entries()) {
      if (among(pair)) data[pair.image * itc.shape[1]! + pair.text] = score[i]!;
    }
    return floats(itc.shape, data);
  };
  const toTexts = ranked(({ image, text }) => ofImage[image]!.has(text));
  const toImages = ranked(({ image, text }) => ofText[text]!.has(image));
  return {
    ofTexts: ranksOf(toTexts, isPair, texts),
    ofImages: ranksOf(transpose(toImages), (text, image) => isPair(image, text)),
  };
}

/** The `k` best candidates of every row. */
function best({ shape, data }: Value<'float32'>, k: number): ReadonlySet<number>[] {
  const [queries, candidates] = shape as [number, number];
  return Array.from({ length: queries }, (_, query) => {
    const row = data.subarray(query * candidates, (query + 1) * candidates);
    return new Set([...row.keys()].sort((a, b) => row[b]! - row[a]!).slice(0, k));
  });
}

function transpose({ shape, data }: Value<'float32'>): Value<'float32'> {
  const [rows, columns] = shape as [number, number];
  return floats(
    [columns, rows],
    data.map((_, i) => data[(i % rows) * columns + Math.floor(i / rows)]!),
  );
}

/** Recall in percent by LAVIS's names: of texts by an image (`txt_r1`), and of images by a text (`img_r1`). */
export function recallOf({ ofTexts, ofImages }: Ranks): Metrics {
  const entries = Object.entries({ txt: ofTexts, img: ofImages }).flatMap(([found, ranks]) =>
    Object.entries(recallAtK(ranks)).map(([k, recall]) => [`${found}_r${k}`, recall] as const),
  );
  return Object.fromEntries(entries);
}
