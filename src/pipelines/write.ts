import { captionWriter } from '../blip2/index.ts';
import { toNumbers, UsageError, type Value } from '../core/index.ts';
import {
  averaged,
  cutAtStop,
  type GenerationOptions,
  generate,
  type Prompt,
  type StepModel,
  stopStrings as stopsAt,
  streamText,
  streamTokens,
} from '../generation/index.ts';
import type { LanguageModel } from '../models/index.ts';
import { closeWordGaps, type Encoding, padSequences, type Tokenizer } from '../text/index.ts';
import type { ConnectedLanguageModel } from './model-files.ts';
import { readQueries } from './queries.ts';
import type { Sessions } from './sessions.ts';
import type { ViewOptions } from './views.ts';

/** How to write: transformers' names and meanings. `maxNewTokens` is 30 by default. */
export interface WritingOptions
  extends Omit<GenerationOptions, 'eosTokenId' | 'stop' | 'history' | 'numReturnSequences'> {
  /** A text ends before the first of these in it. */
  readonly stopStrings?: readonly string[] | undefined;
}

/** How many texts to write: the best beams, or as many draws. Default 1. */
export type SequenceOptions = Pick<GenerationOptions, 'numReturnSequences'>;

/** What was written. */
export interface Written {
  readonly text: string;
  /** Σ log p of the tokens / (their number)^lengthPenalty: with the default of 1, their mean log-probability. */
  readonly score: number;
  /** Σ log p of the tokens. */
  readonly logProbability: number;
}

/** Captions and answers are short; transformers' default of 20 tokens cuts some off. */
export const defaultNewTokens = 30;

/**
 * Goes on from prompts, one for each image, in the language model: features [B · views, P, Dv]. In transformers' order: all
 * sequences of the first prompt, best first, then those of the next.
 */
export async function writeByLanguageModel(
  sessions: Sessions,
  features: Value,
  { prompts, ...options }: WritingOptions & SequenceOptions & ViewOptions & { prompts: readonly string[] },
): Promise<Written[]> {
  const { prompt, ...start } = await readPrompts(sessions, features, forEachView(prompts, options));
  options.signal?.throwIfAborted();
  return write(await sessions.languageModel(), prompt, { ...options, ...start });
}

/** The same for one image, in pieces as they are written; a beam search gives its text at once. */
export async function* streamByLanguageModel(
  sessions: Sessions,
  features: Value,
  { prompt: text, ...options }: WritingOptions & { prompt: string },
): AsyncGenerator<string> {
  const { prompt, ...start } = await readPrompts(sessions, features, [text]);
  options.signal?.throwIfAborted();
  const model = await sessions.languageModel();
  if ((options.numBeams ?? 1) > 1) {
    const [written] = await write(model, prompt, { ...options, ...start });
    return yield written!.text;
  }
  const { decode, generation } = generationOf(prompt, { ...options, ...start });
  yield* streamText(streamTokens(model, prompt, generation), {
    decode,
    stop: options.stopStrings,
    cleanUp: start.tokenizer.cleanUp,
  });
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
    lm: language.lm,
  };
}

/** Captions by the Q-Former itself, which goes on from the queries' keys and values, [DEC] and the prompts. */
export async function writeByQueries(
  sessions: Sessions,
  features: Value,
  { prompts, ...options }: WritingOptions & SequenceOptions & ViewOptions & { prompts: readonly string[] },
): Promise<Written[]> {
  const { prompt, ...start } = await readQueryPrompts(sessions, features, forEachView(prompts, options));
  options.signal?.throwIfAborted();
  const written = await write(await sessions.writer(), prompt, { ...options, ...start });
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
  const [lm, endTokens] = [captionWriter(sessions.files.config), [tokenizer.require('sep')]];
  return { prompt, history: rows, tokenizer, endTokens, lm }; // transformers' penalties look at all of input_ids
}

const forEachView = (prompts: readonly string[], { views = 1 }: ViewOptions): string[] =>
  prompts.flatMap((prompt) => new Array<string>(views).fill(prompt));

/** What writes, and what it knows of the prompts: see `readPrompts`. */
interface Start extends Pick<GenerationOptions, 'history'> {
  readonly lm: LanguageModel;
  readonly tokenizer: Tokenizer;
  readonly endTokens: readonly number[];
}

async function write(
  model: StepModel<Prompt>,
  prompt: Prompt,
  { views = 1, history, ...options }: WritingOptions & SequenceOptions & ViewOptions & Start,
): Promise<Written[]> {
  const ofTexts = history?.filter((_, row) => row % views === 0);
  const { decode, generation } = generationOf(prompt, { ...options, history: ofTexts });
  const written = await generate(averaged(model, views), prompt, generation);
  const textOf = (tokens: readonly number[]) => cutAtStop(decode(tokens), options.stopStrings ?? []).trim();
  return written.flat().map(({ tokens, score, logProbability }) => ({ text: textOf(tokens), score, logProbability }));
}

/** What `generate` is told. Throws UsageError where the prompt leaves no room for what is to be written. */
function generationOf(
  prompt: Prompt,
  { lm, tokenizer, endTokens, stopStrings, ...options }: WritingOptions & SequenceOptions & Start,
): { decode: (ids: readonly number[]) => string; generation: GenerationOptions } {
  const decode = (ids: readonly number[]) => tokenizer.decode(ids); // with the white space that a stop string may have
  const { maxNewTokens = defaultNewTokens } = options;
  requireRoom(lm, prompt, maxNewTokens);
  const stop = stopStrings?.length ? stopsAt(stopStrings, decode) : undefined;
  return { decode, generation: { ...options, maxNewTokens, stop, eosTokenId: endTokens } };
}

/** Throws UsageError where a language model has fewer positions than a prompt and as many new tokens take. */
export function requireRoom(lm: LanguageModel, prompt: Prompt, newTokens: number): void {
  const { softPrompts, past, inputIds } = prompt;
  const before = softPrompts?.shape[1] ?? Object.values(past ?? {})[0]?.shape[2] ?? 0;
  const text = inputIds.shape[1]!;
  if (hasRoom(lm, before + text, newTokens)) return;
  throw new UsageError(
    `a prompt of ${text} tokens after ${before} queries leaves no room for ${newTokens} more in the ${lm.maxPositions} ` +
      'positions of the language model: shorten it, or lower maxNewTokens',
  );
}

/** Whether a sequence of so many positions can go on; its last token takes none, because nothing follows it. */
export const hasRoom = ({ maxPositions = Infinity }: LanguageModel, positions: number, newTokens: number): boolean =>
  positions + newTokens - 1 <= maxPositions;

/**
 * Prompts as the language model reads them after the queries. A prompt without a token begins as texts do. Padding stands
 * where it changes nothing: before the text that a decoder goes on from, after what an encoder reads, whose positions count
 * padding (T5).
 */
export function encodePrompts(
  { tokenizer, lm, startToken, padToken }: ConnectedLanguageModel,
  prompts: readonly string[],
): Encoding {
  const rows = prompts.map((prompt) => tokenizer.encode(prompt));
  return padSequences(
    rows.map((row) => (row.length > 0 ? row : [startToken])),
    { id: () => padToken, side: lm.kind === 'decoder' ? 'left' : 'right' },
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
