import { floats, type Value } from '../core/index.ts';
import { imageFeatures, imagesOf, type OneImage } from './images.ts';
import { readAttention } from './queries.ts';
import type { Sessions } from './sessions.ts';

export interface AttentionOptions {
  /** What the queries of an InstructBLIP read beside the image; others read none. */
  readonly prompt?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The cross-attention of one image's queries: [layers, H, Q, P]. */
export async function attention(
  sessions: Sessions,
  image: OneImage,
  { prompt = '', signal }: AttentionOptions = {},
): Promise<Value<'float32'>> {
  const features = await imageFeatures(sessions, imagesOf(image), { signal });
  signal?.throwIfAborted();
  const { shape, data } = await readAttention(sessions, features, [prompt]);
  return floats(shape.slice(1), data);
}
