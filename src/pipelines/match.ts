import { int64s, toFloat32, UsageError, type Value } from '../core/index.ts';
import { type Images, imageFeatures, imagesOf, type OneImage } from './images.ts';
import { readQueries } from './queries.ts';
import type { Sessions } from './sessions.ts';
import { encodeTexts } from './texts.ts';

/** How well a text fits an image. */
export interface Match {
  readonly text: string;
  /** The largest cosine of any query with the text, −1…1: fast, for ranking many (ITC). */
  readonly itc: number;
  /** The probability that they belong together: exact, from both read at once (ITM). */
  readonly itm: number;
}

export interface MatchOptions {
  readonly signal?: AbortSignal | undefined;
}

/** So many texts are read at once: memory does not grow with their number. */
const textsAtOnce = 64;

/** Scores of an image with each text, in their order. */
export async function match(
  sessions: Sessions,
  image: OneImage,
  texts: readonly string[],
  { signal }: MatchOptions = {},
): Promise<Match[]> {
  await sessions.pairs(); // refuses a model without a head before the image is read
  const image_embeds = await imageFeatures(sessions, imagesOf(image));
  const { image_embeds_proj: zImage } = await readQueries(sessions, image_embeds);
  const matches: Match[] = [];
  for (let start = 0; start < texts.length; start += textsAtOnce) {
    signal?.throwIfAborted();
    const some = texts.slice(start, start + textsAtOnce);
    matches.push(...(await matchTexts(sessions, { image_embeds, zImage: zImage! }, some)));
  }
  return matches;
}

async function matchTexts(
  sessions: Sessions,
  { image_embeds, zImage }: { image_embeds: Value; zImage: Value },
  texts: readonly string[],
): Promise<Match[]> {
  const { inputIds, attentionMask } = encodeTexts(sessions, texts);
  const feeds = { input_ids: inputIds, attention_mask: attentionMask };
  const { text_embeds_proj: tokens } = await (await sessions.texts()).run(feeds, { text_embeds_proj: null });
  const image_rows = int64s([texts.length], new Array<number>(texts.length).fill(0));
  const { itm_logits } = await (await sessions.pairs()).run(
    { ...feeds, image_embeds, image_rows },
    { itm_logits: null },
  );
  const similarities = bestQueryCosines(zImage, firstTokens(tokens));
  const scores = pairScores(itm_logits);
  return texts.map((text, i) => ({ text, itc: similarities[i]!, itm: scores[i]!.probability }));
}

/** An image and a text by their places in two lists. */
export interface Pair {
  readonly image: number;
  readonly text: number;
}

/** What ITM says of a pair. */
export interface PairScore {
  /** That they belong together. */
  readonly probability: number;
  /** The logit of "match". */
  readonly logit: number;
}

/**
 * What the second step of a search ranks by (§4.4): ITC's cosine and ITM's logit, added. The reference adds them as they
 * are (LAVIS, `compute_sim_matrix`), which leaves the cosine little to say: candidates are several logits apart, but a few
 * hundredths of a cosine. `rerank_itc_weight` in a model's config.json says how many logits a cosine is worth.
 */
export const rerankScore = ({ itc, logit }: { itc: number; logit: number }, itcWeight = 1): number =>
  itcWeight * itc + logit;

/**
 * ITM of each pair of an image and a text. Give as many as fit in memory. Throws UsageError for a pair of what is in
 * neither list.
 */
export async function matchPairs(
  sessions: Sessions,
  images: Images,
  { texts, pairs, signal }: { texts: readonly string[]; pairs: readonly Pair[] } & MatchOptions,
): Promise<PairScore[]> {
  if (pairs.length === 0) return [];
  const image_embeds = await imageFeatures(sessions, images);
  checkPairs(pairs, { images: image_embeds.shape[0]!, texts: texts.length });
  const encoded = encodeTexts(
    sessions,
    pairs.map(({ text }) => texts[text]!),
  );
  const image_rows = int64s(
    [pairs.length],
    pairs.map(({ image }) => image),
  );
  signal?.throwIfAborted();
  const feeds = { input_ids: encoded.inputIds, attention_mask: encoded.attentionMask, image_embeds, image_rows };
  return pairScores((await (await sessions.pairs()).run(feeds, { itm_logits: null })).itm_logits);
}

function checkPairs(pairs: readonly Pair[], { images, texts }: { images: number; texts: number }): void {
  const isPlace = (place: number, count: number) => Number.isInteger(place) && place >= 0 && place < count;
  const wrong = pairs.find(({ image, text }) => !isPlace(image, images) || !isPlace(text, texts));
  if (!wrong) return;
  throw new UsageError(
    `pairs: expected places in ${images} images and ${texts} texts, from 0 on, found image ${wrong.image} and text ${wrong.text}`,
  );
}

/** From logits of "no match, match" [N, 2]. */
function pairScores(logits: Value): PairScore[] {
  const data = toFloat32(logits);
  return Array.from({ length: data.length / 2 }, (_, n) => {
    const [apart, together] = [data[2 * n]!, data[2 * n + 1]!];
    return { probability: sigmoid(together - apart), logit: together };
  });
}

/** zText: each text's [CLS], [N, E] of tokens [N, T, E]. */
export function firstTokens(tokens: Value): Float32Array[] {
  const [texts, length, width] = tokens.shape as [number, number, number];
  const data = toFloat32(tokens);
  return Array.from({ length: texts }, (_, n) => data.subarray(n * length * width, (n * length + 1) * width));
}

/** ITC (§3.2): the cosine of each text with its best query of one image; zImage [1, Q, E], both of length 1. */
export function bestQueryCosines(zImage: Value, zTexts: readonly Float32Array[]): number[] {
  const [, queries, width] = zImage.shape as [number, number, number];
  const data = toFloat32(zImage);
  return zTexts.map((z) => {
    let best = -Infinity;
    for (let q = 0; q < queries; q++) {
      let dot = 0;
      for (let e = 0; e < width; e++) dot += data[q * width + e]! * z[e]!;
      best = Math.max(best, dot);
    }
    return best;
  });
}

/** Of a difference of two logits: their softmax. */
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
