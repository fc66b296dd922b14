import { floats, toFloat32, UsageError, type Value } from '../core/index.ts';
import { type Blip2, firstTokens, type ImageInput, rerankScore } from '../pipelines/index.ts';
import type { Hit, VectorIndex } from './vector-index.ts';

/** What is searched for: pictures that a text describes, or pictures like another. */
export type Query = { readonly text: string } | { readonly image: ImageInput };

export interface SearchOptions {
  /** Results at most. Default: 10. */
  readonly k?: number | undefined;
  /** How many of the best by ITC are read again by ITM. Default: 128, as in the paper (§4.4). */
  readonly candidates?: number | undefined;
  /** Whether they are. Default: true; pictures like another are never, because ITM reads a text. */
  readonly rerank?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A picture that was found. */
export interface Found {
  /** From 1 on. */
  readonly rank: number;
  /** The path that it was added by. */
  readonly image: string;
  /** The largest cosine of its queries with the text, or with each query of the other picture, averaged over these. */
  readonly itc: number;
  /** The probability that picture and text belong together; null of a picture that was not read again. */
  readonly itm: number | null;
  /** The step that gave it its rank. */
  readonly step: 'itc' | 'itm';
}

/** Candidates that ITM reads together. */
const pairsAtOnce = 32;

/**
 * The search in two steps (§4.4): the best by ITC, of which the first `candidates` are ranked anew by ITC's cosine and
 * ITM's logit together (`rerankScore`), as `blip2 evaluate` does. Throws UsageError for a `k` or `candidates` that is no
 * whole number above 0.
 */
export async function searchImages(
  { index, model }: { index: VectorIndex; model: Blip2 },
  query: Query,
  { k = 10, candidates = 128, rerank = true, signal }: SearchOptions = {},
): Promise<Found[]> {
  for (const [name, count] of Object.entries({ k, candidates })) {
    if (!Number.isInteger(count) || count < 1) {
      throw new UsageError(`search: expected a whole number above 0 as ${name}, found ${count}`);
    }
  }
  const text = rerank && 'text' in query ? query.text : undefined;
  const reread = text === undefined ? 0 : candidates;
  const hits = await index.search(await vectorsOf(model, query), Math.max(k, reread));
  const first =
    text === undefined ? [] : await readAgain({ index, model }, text, { hits: hits.slice(0, reread), signal });
  const rest = hits.slice(reread).map((hit): Scored => ({ hit, itm: null, step: 'itc' }));
  return [...first, ...rest]
    .slice(0, k)
    .map(({ hit, itm, step }, i) => ({ rank: i + 1, image: hit.picture.path, itc: hit.itc, itm, step }));
}

interface Scored extends Pick<Found, 'itm' | 'step'> {
  readonly hit: Hit;
}

/** Step 2: the hits by both. */
async function readAgain(
  { index, model }: { index: VectorIndex; model: Blip2 },
  text: string,
  { hits, signal }: { hits: readonly Hit[]; signal: AbortSignal | undefined },
): Promise<Scored[]> {
  const scored: (Scored & { sum: number })[] = [];
  for (let start = 0; start < hits.length; start += pairsAtOnce) {
    signal?.throwIfAborted();
    const some = hits.slice(start, start + pairsAtOnce);
    const features = await index.features(some.map(({ picture }) => picture.id));
    const pairs = some.map((_, image) => ({ image, text: 0 }));
    const scores = await model.matchPairs(features, { texts: [text], pairs, signal });
    scored.push(
      ...some.map((hit, i) => {
        const { probability: itm, logit } = scores[i]!;
        const sum = rerankScore({ itc: hit.itc, logit }, model.files.config.rerank_itc_weight);
        return { hit, itm, sum, step: 'itm' as const };
      }),
    );
  }
  return scored.sort((a, b) => b.sum - a.sum);
}

/** zText as [1, E], or zImage [Q, E]. */
async function vectorsOf(model: Blip2, query: Query): Promise<Value<'float32'>> {
  if ('text' in query) {
    const { text_embeds_proj: tokens } = await model.embed({ texts: [query.text] });
    const [zText] = firstTokens(tokens!);
    return floats([1, zText!.length], zText!);
  }
  const { image_embeds_proj: zImage } = await model.embed({ images: [query.image] });
  const [, queries, width] = zImage!.shape as [number, number, number];
  return floats([queries, width], toFloat32(zImage!));
}
