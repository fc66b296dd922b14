import { random } from '../core/index.ts';
import { blipCaption } from '../text/index.ts';
import type { Blip2 } from './blip2.ts';
import type { CaptionOptions } from './caption.ts';
import type { Images } from './images.ts';
import { byImage, itcOfTexts } from './rank.ts';

export interface BootstrapCaptionsOptions extends Omit<CaptionOptions, 'doSample' | 'numBeams'> {
  /** How many captions are drawn for each image. */
  readonly candidates: number;
  /** What ranks captions: the cosine of ITC or the probability of ITM. */
  readonly score: 'itc' | 'itm';
  /** How many captions of each image are kept. */
  readonly keep: number;
  /** No caption with a lower score is kept. */
  readonly threshold?: number | undefined;
}

export interface ScoredCaption {
  readonly text: string;
  readonly score: number;
}

/** Images as two models see them, and the captions that they came with. */
export interface CaptionedImages {
  readonly writer: { readonly model: Blip2; readonly images: Images };
  readonly filter: { readonly model: Blip2; readonly images: Images };
  /** By image; there may be none. */
  readonly given: readonly (readonly string[])[];
}

/**
 * CapFilt (BLIP, Li et al. 2022; here §3.4): one model writes captions by sampling, another ranks them together with
 * those that the images came with. Returns the best of each image, best first. A candidate depends on the image, the seed
 * and its number alone, not on the batch.
 */
export async function bootstrapCaptions(
  { writer, filter, given }: CaptionedImages,
  { candidates, score, keep, threshold = -Infinity, seed = 0, ...writing }: BootstrapCaptionsOptions,
): Promise<ScoredCaption[][]> {
  const texts = given.map((captions) => new Set(captions));
  for (let i = 0; i < candidates; i++) {
    const drawn = { ...writing, doSample: true, seed: random(seed, 'candidate', i).uint32() };
    const written = await writer.model.caption(writer.images, drawn);
    for (const [image, { text }] of written.entries()) if (text !== '') texts[image]!.add(text);
  }
  const all = texts.map((each) => [...each]);
  const scores = await scorers[score](filter, all, writing.signal);
  return all.map((each, image) =>
    each
      .map((text, i) => ({ text, score: scores[image]![i]! }))
      .filter((caption) => caption.score >= threshold)
      .sort((a, b) => b.score - a.score)
      .slice(0, keep),
  );
}

type Scorer = (
  filter: CaptionedImages['filter'],
  texts: readonly (readonly string[])[],
  signal: AbortSignal | undefined,
) => Promise<number[][]>;

/** Scores of each image's texts. */
const scorers: Readonly<Record<'itc' | 'itm', Scorer>> = {
  itc: ({ model, images }, texts, signal) => itcOfTexts(model, images, { texts, signal }),
  async itm({ model, images }, texts, signal) {
    const pairs = texts.flatMap((each, image) => each.map(() => image)).map((image, text) => ({ image, text }));
    const normalised = texts.flat().map((text) => blipCaption(text));
    const scores = await model.matchPairs(images, { texts: normalised, pairs, signal });
    return byImage(
      texts,
      scores.map(({ probability }) => probability),
    );
  },
};
