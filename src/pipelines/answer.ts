import { UsageError, type Value } from '../core/index.ts';
import type { Decoding } from '../generation/index.ts';
import { imageFeatures, imagesOf, type OneImage } from './images.ts';
import { readQueries } from './queries.ts';
import type { Sessions } from './sessions.ts';
import { encodePrompts, type WritingOptions, type Written, writeByLanguageModel } from './write.ts';

export interface AnswerOptions extends WritingOptions {
  /** Give the question to the model as it is, without the template around it. */
  readonly raw?: boolean | undefined;
  /** Answers to choose from, by their likelihood, instead of writing one. */
  readonly candidates?: readonly string[] | undefined;
}

/** The words around a question that a language model was evaluated with (the paper's appendix, table 12). */
export function questionPrompt(modelType: string, question: string): string {
  return modelType === 't5' ? `Question: ${question} Short answer:` : `Question: ${question} Answer:`;
}

/** The language model's answer to a question about an image; `score` is its mean log-probability. */
export async function answer(
  sessions: Sessions,
  image: OneImage,
  question: string,
  { raw = false, candidates, ...options }: AnswerOptions = {},
): Promise<Written> {
  const { modelType } = sessions.language();
  const prompt = raw ? question : questionPrompt(modelType, question);
  const features = await imageFeatures(sessions, imagesOf(image));
  options.signal?.throwIfAborted();
  if (candidates) return chooseAnswer(sessions, features, { prompt, candidates, signal: options.signal });
  const [written] = await writeByLanguageModel(sessions, features, { ...options, prompts: [prompt] });
  return written!;
}

/** The likeliest of the candidates (per token, its end included), as the reference ranks answers for VQA. */
async function chooseAnswer(
  sessions: Sessions,
  features: Value,
  { prompt, candidates, signal }: { prompt: string; candidates: readonly string[]; signal?: AbortSignal | undefined },
): Promise<Written> {
  if (candidates.length === 0) throw new UsageError('candidates: expected at least one answer, found none');
  const { tokenizer, endTokens } = sessions.language();
  const { language_projection: softPrompts } = await readQueries(sessions, features);
  const model = await sessions.languageModel();
  const text = encodePrompts(tokenizer, [prompt]);
  const rows = candidates.map((candidate) => [
    ...tokenizer.encode(` ${candidate}`, { addSpecialTokens: false }),
    endTokens[0]!,
  ]);
  const decoding = await model.prefill(
    { softPrompts: softPrompts as Value<'float32'>, ...text },
    { copies: candidates.length },
  );
  const scores = await logLikelihoods(decoding, rows, signal);
  const best = scores.indexOf(Math.max(...scores));
  return { text: candidates[best]!, score: scores[best]! };
}

/** The mean log-probability of each row's tokens. */
async function logLikelihoods(
  decoding: Decoding,
  rows: readonly (readonly number[])[],
  signal: AbortSignal | undefined,
): Promise<number[]> {
  const sums = rows.map(() => 0);
  const longest = Math.max(...rows.map((row) => row.length));
  for (let t = 0; t < longest; t++) {
    for (const [row, tokens] of rows.entries()) {
      if (t < tokens.length) sums[row]! += logProbability(decoding.scores(row), tokens[t]!);
    }
    signal?.throwIfAborted();
    if (t + 1 < longest) await decoding.step(rows.map((tokens) => tokens[t] ?? tokens.at(-1)!)); // ended rows are unread
  }
  return sums.map((sum, row) => sum / rows[row]!.length);
}

function logProbability(logits: Float32Array, token: number): number {
  const max = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const sum = logits.reduce((total, x) => total + Math.exp(x - max), 0);
  return logits[token]! - max - Math.log(sum);
}
