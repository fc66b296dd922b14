import { floats, int64s, toFloat32, type Value } from '../core/index.ts';
import { questionPrompt } from './answer.ts';
import { imagesOf, isTensor, type OneImage, readPixels, sizeOf } from './images.ts';
import { bestQueryCosines, firstTokens } from './match.ts';
import { readQueries } from './queries.ts';
import type { Sessions } from './sessions.ts';
import { encodeTexts } from './texts.ts';
import { encodePrompts } from './write.ts';

export interface TraceInputs {
  /** One picture, or `pixelValues` [B, 3, H, W]. */
  readonly image: OneImage;
  /** Compared with the images, or, where there is no head to do so, the language model's prompt as it is. */
  readonly text?: string | undefined;
  /** The language model's prompt, in its template. */
  readonly question?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One run's tensors, under the names that bug reports use; what the model does not have is left out. */
export async function trace(sessions: Sessions, inputs: TraceInputs): Promise<Record<string, Value>> {
  const { image, text, signal } = inputs;
  const { files } = sessions;
  const prompt = promptOf(sessions, inputs);
  const pixelValues = await readPixels(isTensor(image) ? image : imagesOf(image), files.processor);
  signal?.throwIfAborted();
  const vision = await sessions.vision(sizeOf(pixelValues));
  const { last_hidden_state, image_embeds } = await vision.run({ pixel_values: pixelValues });
  signal?.throwIfAborted();
  const prompts = new Array<string>(pixelValues.shape[0]!).fill(prompt);
  const { queries, image_embeds_proj, language_projection } = await readQueries(sessions, image_embeds, prompts);
  signal?.throwIfAborted();
  return {
    pixel_values: pixelValues,
    'vision.last_hidden_state': last_hidden_state,
    'qformer.last_hidden_state': queries!,
    ...(language_projection && { language_projection }),
    ...(language_projection && (await traceLogits(sessions, language_projection, prompts))),
    ...(image_embeds_proj && { 'itc.image_embeds': image_embeds_proj }),
    ...(image_embeds_proj &&
      text !== undefined &&
      (await traceMatch(sessions, { image_embeds, image_embeds_proj, text }))),
  };
}

function promptOf(sessions: Sessions, { text, question }: TraceInputs): string {
  if (question !== undefined) return questionPrompt(sessions, question);
  return sessions.files.heads.retrieval ? '' : (text ?? '');
}

async function traceLogits(
  sessions: Sessions,
  softPrompts: Value,
  prompts: readonly string[],
): Promise<Record<'logits', Value>> {
  const language = sessions.language();
  const { lm } = language;
  const [batch, queries] = softPrompts.shape as [number, number];
  const encoded = encodePrompts(language, prompts);
  const length = encoded.inputIds.shape[1]!;
  const start = (id: number) => int64s([batch, 1], new Array<number>(batch).fill(id));
  return (await sessions.logits()).run({
    language_projection: softPrompts,
    input_ids: encoded.inputIds,
    attention_mask: int64s([batch, queries + length], new Array<number>(batch * (queries + length)).fill(1)),
    ...(lm.kind === 'encoder-decoder' && {
      decoder_input_ids: start(lm.decoderStart),
      decoder_attention_mask: start(1),
    }),
  });
}

async function traceMatch(
  sessions: Sessions,
  { image_embeds, image_embeds_proj, text }: { image_embeds: Value; image_embeds_proj: Value; text: string },
): Promise<Record<string, Value>> {
  const [images, queries, width] = image_embeds_proj.shape as [number, number, number];
  const encoded = encodeTexts(sessions, new Array<string>(images).fill(text));
  const feeds = { input_ids: encoded.inputIds, attention_mask: encoded.attentionMask };
  const { text_embeds_proj } = await (await sessions.texts()).run(feeds, { text_embeds_proj: null });
  const image_rows = int64s([images], [...Array(images).keys()]);
  const { itm_logits } = await (await sessions.pairs()).run(
    { ...feeds, image_embeds, image_rows },
    { itm_logits: null },
  );
  const [zText] = firstTokens(text_embeds_proj);
  const all = toFloat32(image_embeds_proj);
  const itc = Array.from({ length: images }, (_, b) => {
    const own = floats([1, queries, width], all.subarray(b * queries * width, (b + 1) * queries * width));
    return bestQueryCosines(own, [zText!])[0]!;
  });
  return { 'itc.text_embeds': floats([1, width], zText!), itc: floats([images, 1], itc), itm_logits };
}
