import { int64s, toFloat32, type Value } from '../core/index.ts';
import { type ImageInput, imageFeatures } from './images.ts';
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

/** Scores of an image with each text, in their order. */
export async function match(
  sessions: Sessions,
  image: ImageInput | Value<'float32'>,
  texts: readonly string[],
  { signal }: MatchOptions = {},
): Promise<Match[]> {
  if (texts.length === 0) return [];
  const pairs = await sessions.pairs();
  const features = await imageFeatures(sessions, typeof image === 'object' && 'dtype' in image ? image : [image]);
  signal?.throwIfAborted();
  const encoded = encodeTexts(sessions, texts);
  const feeds = { input_ids: encoded.inputIds, attention_mask: encoded.attentionMask };
  const { image_embeds_proj: zImage } = await readQueries(sessions, features);
  const { text_embeds_proj: tokens } = await (await sessions.texts()).run(feeds, { text_embeds_proj: null });
  signal?.throwIfAborted();
  const image_rows = int64s([texts.length], new Array<number>(texts.length).fill(0));
  const { itm_logits: logits } = await pairs.run(
    { ...feeds, image_embeds: features, image_rows },
    { itm_logits: null },
  );

  const similarities = bestQueryCosines(zImage!, firstTokens(tokens));
  const [rows] = [toFloat32(logits)];
  return texts.map((text, i) => ({ text, itc: similarities[i]!, itm: sigmoid(rows[2 * i + 1]! - rows[2 * i]!) }));
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
