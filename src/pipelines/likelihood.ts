import { UsageError } from '../core/index.ts';
import type { Decoding } from '../generation/index.ts';
import { captionPrompt } from './caption.ts';
import { featuresToWriteAbout, type Images } from './images.ts';
import type { ConnectedLanguageModel } from './model-files.ts';
import type { Sessions } from './sessions.ts';
import { readPrompts, readQueryPrompts, requireRoom } from './write.ts';

export interface LikelihoodOptions {
  /** The words that captions begin with; what they cost is not counted. Default: as of `caption`. */
  readonly prompt?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * How likely the model finds a given caption of each image: the natural log-probability of each token, the end included.
 * Asks what would write the captions: the language model, or the Q-Former where there is none.
 */
export async function captionLogProbabilities(
  sessions: Sessions,
  images: Images,
  captions: readonly string[],
  { prompt = captionPrompt(sessions), signal }: LikelihoodOptions = {},
): Promise<number[][]> {
  const features = await featuresToWriteAbout(sessions, images);
  if (features.shape[0] !== captions.length) {
    throw new UsageError(`captions: expected one for each of ${features.shape[0]} images, found ${captions.length}`);
  }
  signal?.throwIfAborted();
  const prompts = captions.map(() => prompt);
  const [model, start] = sessions.files.language
    ? [await sessions.languageModel(), await readPrompts(sessions, features, prompts)]
    : [await sessions.writer(), await readQueryPrompts(sessions, features, prompts)];
  const rows = continuations(start, prompt, captions);
  requireRoom(start.lm, start.prompt, Math.max(...rows.map((row) => row.length)));
  return tokenLogProbabilities(await model.prefill(start.prompt, { copies: 1 }), rows, signal);
}

/** The tokens of each text as it goes on from a prompt, and its end. An encoder-decoder's decoder begins with the text. */
export const continuations = (
  { lm, tokenizer, endTokens }: Pick<ConnectedLanguageModel, 'lm' | 'tokenizer' | 'endTokens'>,
  prompt: string,
  texts: readonly string[],
): number[][] =>
  texts.map((text) => [...tokenizer.encodeAfter(lm.kind === 'decoder' ? prompt : '', text), endTokens[0]!]);

/** The natural log-probability of each token of each row, which goes on from what has been read. */
export async function tokenLogProbabilities(
  decoding: Decoding,
  rows: readonly (readonly number[])[],
  signal: AbortSignal | undefined,
): Promise<number[][]> {
  const found: number[][] = rows.map(() => []);
  const longest = Math.max(...rows.map((row) => row.length));
  for (let t = 0; t < longest; t++) {
    for (const [row, tokens] of rows.entries()) {
      if (t < tokens.length) found[row]!.push(logProbability(decoding.scores(row), tokens[t]!));
    }
    signal?.throwIfAborted();
    if (t + 1 < longest) await decoding.step(rows.map((tokens) => tokens[t] ?? tokens.at(-1)!)); // ended rows are unread
  }
  return found;
}

function logProbability(logits: Float32Array, token: number): number {
  const max = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const sum = logits.reduce((total, x) => total + Math.exp(x - max), 0);
  return logits[token]! - max - Math.log(sum);
}
