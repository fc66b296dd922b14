import { initialTemperature } from '../blip2/index.ts';
import { viewRows } from '../core/index.ts';
import { blipCaption } from '../text/index.ts';
import type { Embeddings, EmbedInputs } from './embed.ts';
import type { Images } from './images.ts';
import { bestQueryCosines, firstTokens } from './match.ts';
import type { ModelFiles } from './model-files.ts';

/** What compares: a model, or its sessions. */
interface Embedder {
  embed(inputs: EmbedInputs): Promise<Embeddings>;
}

/** How well each image's own texts fit it, by ITC (§3.2): cosines, in the texts' order. */
export async function itcOfTexts(
  model: Embedder,
  images: Images,
  { texts, signal }: { texts: readonly (readonly string[])[]; signal?: AbortSignal | undefined },
): Promise<number[][]> {
  const normalised = texts.flat().map((text) => blipCaption(text));
  if (normalised.length === 0) return texts.map(() => []);
  const { image_embeds_proj } = await model.embed({ images, signal });
  const { text_embeds_proj } = await model.embed({ texts: normalised, signal });
  const zTexts = byImage(texts, firstTokens(text_embeds_proj!));
  return zTexts.map((zs, image) => bestQueryCosines(viewRows(image_embeds_proj!, image, 1), zs));
}

/** What ITC divides cosines by: the temperature that training has learned, or where it began. */
export async function itcTemperature({ checkpoint }: Pick<ModelFiles, 'checkpoint'>): Promise<number> {
  return checkpoint.entries.has('temp') ? (await checkpoint.readFloat32('temp'))[0]! : initialTemperature;
}

/** What was computed of all texts in a row, image by image. */
export function byImage<T>(texts: readonly (readonly string[])[], results: readonly T[]): T[][] {
  let start = 0;
  return texts.map(({ length }) => {
    start += length;
    return results.slice(start - length, start);
  });
}
