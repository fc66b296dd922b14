import { toNumbers, type Value } from '../core/index.ts';
import {
  type GenerationOptions,
  generate,
  type Prompt,
  type StepModel,
  streamText,
  streamTokens,
} from '../generation/index.ts';
import { closeWordGaps, type Encoding, padSequences, type Tokenizer } from '../text/index.ts';
import type { ConnectedLanguageModel } from './model-files.ts';
import { readQueries } from './queries.ts';
import type { Sessions } from './sessions.ts';

/** How to write: transformers' names and meanings. */
export type WritingOptions = Omit<GenerationOptions, 'eosTokenId' | 'stop' | 'history' | 'numReturnSequences'>;

/** What was written. */
export interface Written {
  readonly text: string;
  /** Σ log p of the tokens / (their number)^lengthPenalty: with the default of 1, their mean log-probability. */
  readonly score: number;
}

/** Captions and answers are short; transformers' default of 20 tokens cuts some off. */
const defaults = { maxNewTokens: 30 };

/** Goes on from prompts, one for each image, in the language model: features [B, P, Dv]. */
export async function writeByLanguageModel(
  sessions: Sessions,
  features: Value,
  { prompts, ...options }: WritingOptions & { prompts: readonly string[] },
): Promise<Written[]> {
  const { prompt, ...ends } = await readPrompts(sessions, features, prompts);
  options.signal?.throwIfAborted();
  return write(await sessions.languageModel(), prompt, { ...options, ...ends });
}

/** The same for one image, in pieces as they are written; a beam search gives its text at once. */
export async function* streamByLanguageModel(
  sessions: Sessions,
  features: Value,
  { prompt: text, ...options }: WritingOptions & { prompt: string },
): AsyncGenerator<string> {
  const { prompt, tokenizer, endTokens, history } = await readPrompts(sessions, features, [text]);
  options.signal?.throwIfAborted();
  const model = await sessions.languageModel();
  if ((options.numBeams ?? 1) > 1) {
    const [written] = await write(model, prompt, { ...options, tokenizer, endTokens, history });
    return yield written!.text;
  }
  const tokens = streamTokens(model, prompt, { ...defaults, ...options, eosTokenId: endTokens, history });
  yield* streamText(tokens, { decode: (ids) => tokenizer.decode(ids).trim() });
}

/** What the language model goes on from, and what it ends with. */
export async function readPrompts(sessions: Sessions, features: Value, prompts: readonly string[]) {
  const language = sessions.language();
  const { language_projection: softPrompts } = await readQueries(sessions, features, prompts);
  const text = encodePrompts(language, prompts);
  const prompt: Prompt = { softPrompts: softPrompts as Value<'float32'>, ...text };
  return {
    prompt,
    history: historyOf(text, sessions),
    tokenizer: language.tokenizer,
    endTokens: language.endTokens,
  };
}

/** Captions by the Q-Former itself, which goes on from the queries' keys and values, [DEC] and the prompts. */
export async function writeByQueries(
  sessions: Sessions,
  features: Value,
  { prompts, ...options }: WritingOptions & { prompts: readonly string[] },
): Promise<Written[]> {
  const { prompt, ...ends } = await readQueryPrompts(sessions, features, prompts);
  options.signal?.throwIfAborted();
  const written = await write(await sessions.writer(), prompt, { ...options, ...ends });
  return written.map((each) => ({ ...each, text: closeWordGaps(each.text) }));
}

/** What the Q-Former goes on from, and what it ends with. */
export async function readQueryPrompts(sessions: Sessions, features: Value, prompts: readonly string[]) {
  await sessions.writer(); // refuses a model that does not write
  const tokenizer = sessions.files.tokenizer!;
  const queries = await readQueries(sessions, features);
  const past = Object.fromEntries(Object.entries(queries).filter(([name]) => name.startsWith('present.')));
  const start = tokenizer.require('bos');
  const rows = prompts.map((prompt) => [start, ...tokenizer.encode(prompt, { addSpecialTokens: false })]);
  const text = padSequences(rows, { id: () => tokenizer.require('pad'), side: 'left' });
  const prompt: Prompt = { past, ...text };
  return { prompt, tokenizer, endTokens: [tokenizer.require('sep')] };
}

async function write(
  model: StepModel<Prompt>,
  prompt: Prompt,
  {
    tokenizer,
    endTokens,
    ...options
  }: WritingOptions & Pick<GenerationOptions, 'history'> & { tokenizer: Tokenizer; endTokens: readonly number[] },
): Promise<Written[]> {
  const written = await generate(model, prompt, { ...defaults, ...options, eosTokenId: endTokens });
  return written.map(([best]) => ({ text: tokenizer.decode(best!.tokens).trim(), score: best!.score }));
}

/**
 * Prompts as the language model reads them after the queries. A prompt without a token begins with the beginning-of-text
 * one. Padding stands where it changes nothing: before the text that a decoder goes on from, after what an encoder reads,
 * whose positions count padding (T5).
 */
export function encodePrompts({ tokenizer, lm }: ConnectedLanguageModel, prompts: readonly string[]): Encoding {
  const rows = prompts.map((prompt) => tokenizer.encode(prompt));
  return padSequences(
    rows.map((row) => (row.length > 0 ? row : [tokenizer.require('bos')])),
    { id: () => tokenizer.require('pad'), side: lm.kind === 'decoder' ? 'left' : 'right' },
  );
}

/**
 * What transformers' penalties look at before the first new token: the whole prompt with its image tokens, or what starts
 * the decoder of an encoder-decoder. Padding is left out, so that a batch writes what each prompt gives alone.
 */
function historyOf({ inputIds, attentionMask }: Encoding, sessions: Sessions): number[][] {
  const { lm } = sessions.language();
  const [rows, length] = inputIds.shape as [number, number];
  if (lm.kind === 'encoder-decoder') return Array.from({ length: rows }, () => [lm.decoderStart]);
  const { image_token_index: image, num_query_tokens: queries } = sessions.files.config;
  const images = typeof image === 'number' ? new Array<number>(queries).fill(image) : [];
  const [ids, mask] = [toNumbers(inputIds), toNumbers(attentionMask)];
  return Array.from({ length: rows }, (_, row) => {
    const places = Array.from({ length }, (_, t) => row * length + t).filter((at) => mask[at] === 1);
    return [...images, ...places.map((at) => ids[at]!)];
  });
}
