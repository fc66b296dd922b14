import { floats, toFloat32, type Value } from '../core/index.ts';
import type { Sessions } from './sessions.ts';
import { encodeTexts } from './texts.ts';

/**
 * The queries on images, and what the model's heads make of them, by the names of `queriesGraph`. The queries of an
 * InstructBLIP read the prompts too, one for each image (none is an empty one); others see the images alone.
 */
export async function readQueries(
  sessions: Sessions,
  features: Value,
  prompts?: readonly string[],
): Promise<Record<string, Value>> {
  const read = async () => (await sessions.queries()).run(queryFeeds(sessions, features, prompts));
  return sessions.seen.queries(features, sessions.files.instructed ? (prompts?.[0] ?? '') : '', read);
}

/** How much each query looks at each image token, by the layers that have cross-attention: [B, layers, H, Q, P]. */
export async function readAttention(
  sessions: Sessions,
  features: Value,
  prompts?: readonly string[],
): Promise<Value<'float32'>> {
  const { cross_attention } = await (await sessions.attention()).run(queryFeeds(sessions, features, prompts));
  return floats(cross_attention.shape, toFloat32(cross_attention));
}

function queryFeeds(
  sessions: Sessions,
  features: Value,
  prompts: readonly string[] = new Array<string>(features.shape[0]!).fill(''),
): Record<string, Value> {
  return { image_embeds: features, ...(sessions.files.instructed && instructionFeeds(sessions, prompts)) };
}

function instructionFeeds(sessions: Sessions, prompts: readonly string[]): Record<string, Value> {
  const { inputIds, attentionMask } = encodeTexts(sessions, prompts);
  return { qformer_input_ids: inputIds, qformer_attention_mask: attentionMask };
}
