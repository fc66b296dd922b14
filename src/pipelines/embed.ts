import { copyOf, int64s, UsageError, type Value } from '../core/index.ts';
import { type Images, imageFeatures } from './images.ts';
import { readQueries } from './queries.ts';
import type { Sessions } from './sessions.ts';
import { encodeTexts } from './texts.ts';

export interface EmbedInputs {
  readonly images?: Images | undefined;
  readonly texts?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The features of LAVIS's `extract_features`, by its names: what the inputs allow. float32, or int64 the mask. */
export interface Embeddings {
  /** The queries on each image [N, Q, D], and in the space shared with texts, of length 1 [N, Q, E]. */
  readonly image_embeds?: Value;
  readonly image_embeds_proj?: Value;
  /** The tokens of each text [N, T, D], and in the space shared with images [N, T, E]: [CLS], the first, stands for all. */
  readonly text_embeds?: Value;
  readonly text_embeds_proj?: Value;
  /** 1 where there is a token [N, T]. */
  readonly text_attention_mask?: Value;
  /** Of as many images as texts, pair by pair: the queries on both [N, Q, D]. */
  readonly multimodal_embeds?: Value;
}

/**
 * Features of images, of texts, and of their pairs where both are given. Throws ConfigError of a model that does not read
 * texts, UsageError where there are not as many texts as images.
 */
export async function embed(sessions: Sessions, { images, texts, signal }: EmbedInputs): Promise<Embeddings> {
  if (texts) await sessions.texts(); // refuses a model without heads for texts before anything is computed
  const features = images && (await imageFeatures(sessions, images));
  if (texts && features && features.shape[0] !== texts.length) {
    throw new UsageError(
      `embed: pairs need as many texts as images, found ${texts.length} and ${features.shape[0]}; ask for one kind`,
    );
  }
  signal?.throwIfAborted();
  const image = features && (await embedImages(sessions, features));
  signal?.throwIfAborted();
  if (!texts) return { ...image };
  const encoded = encodeTexts(sessions, texts);
  const feeds = { input_ids: encoded.inputIds, attention_mask: encoded.attentionMask };
  const text = await (await sessions.texts()).run(feeds);
  signal?.throwIfAborted();
  const both = features && (await embedPairs(sessions, { ...feeds, image_embeds: features }));
  return { ...image, ...text, text_attention_mask: encoded.attentionMask, ...both };
}

async function embedImages(sessions: Sessions, features: Value): Promise<Embeddings> {
  const { queries, image_embeds_proj } = await readQueries(sessions, features);
  return { image_embeds: copyOf(queries!), ...(image_embeds_proj && { image_embeds_proj: copyOf(image_embeds_proj) }) };
}

async function embedPairs(
  sessions: Sessions,
  feeds: { input_ids: Value; attention_mask: Value; image_embeds: Value },
): Promise<Pick<Embeddings, 'multimodal_embeds'>> {
  const count = feeds.input_ids.shape[0]!;
  const image_rows = int64s([count], [...Array(count).keys()]);
  return (await sessions.pairs()).run({ ...feeds, image_rows }, { multimodal_embeds: null });
}
