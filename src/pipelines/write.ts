import { toNumbers, type Value } from '../core/index.ts';
import { type GenerationOptions, generate, type Prompt, type StepModel } from '../generation/index.ts';
import { type Encoding, padSequences, type Tokenizer } from '../text/index.ts';
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
  const { tokenizer, endTokens } = sessions.language();
  const { language_projection: softPrompts } = await readQueries(sessions, features);
  options.signal?.throwIfAborted();
  const text = encodePrompts(tokenizer, prompts);
  return write(
    await sessions.languageModel(),
    { softPrompts: softPrompts as Value<'float32'>, ...text },
    { ...options, tokenizer, endTokens, history: withImageTokens(text, sessions.files.config) },
  );
}

/** Captions by the Q-Former itself, which goes on from the queries' keys and values and [DEC]. */
export async function writeByQueries(
  sessions: Sessions,
  features: Value,
  { prompt, ...options }: WritingOptions & { prompt: string },
): Promise<Written[]> {
  const writer = await sessions.writer();
  const tokenizer = sessions.files.tokenizer!;
  const queries = await readQueries(sessions, features);
  options.signal?.throwIfAborted();
  const past = Object.fromEntries(Object.entries(queries).filter(([name]) => name.startsWith('present.')));
  const start = [tokenizer.require('bos'), ...tokenizer.encode(prompt, { addSpecialTokens: false })];
  const text = padSequences(
    Array.from({ length: features.shape[0]! }, () => start),
    { id: () => tokenizer.require('pad'), side: 'left' },
  );
  return write(writer, { past, ...text }, { ...options, tokenizer, endTokens: [tokenizer.require('sep')] });
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

/** Prompts padded on the left. A prompt without a token begins with the beginning-of-text one. */
export function encodePrompts(tokenizer: Tokenizer, prompts: readonly string[]): Encoding {
  const rows = prompts.map((prompt) => tokenizer.encode(prompt));
  return padSequences(
    rows.map((row) => (row.length > 0 ? row : [tokenizer.require('bos')])),
    { id: () => tokenizer.require('pad'), side: 'left' },
  );
}

/** What transformers' penalties look at: the whole prompt, with its image tokens. */
function withImageTokens(
  { inputIds }: Encoding,
  { image_token_index: image, num_query_tokens: queries }: Sessions['files']['config'],
): number[][] {
  const [rows, length] = inputIds.shape as [number, number];
  const ids = toNumbers(inputIds);
  const images = typeof image === 'number' ? new Array<number>(queries).fill(image) : [];
  return Array.from({ length: rows }, (_, row) => [...images, ...ids.slice(row * length, (row + 1) * length)]);
}
