import { UsageError, type Value } from '../core/index.ts';
import { imageFeatures, imagesOf, type OneImage } from './images.ts';
import { tokenLogProbabilities } from './likelihood.ts';
import { readQueries } from './queries.ts';
import type { Sessions } from './sessions.ts';
import { encodePrompts, type WritingOptions, type Written, writeByLanguageModel } from './write.ts';

export interface AnswerOptions extends WritingOptions {
  /** Give the question to the model as it is, without the template around it. */
  readonly raw?: boolean | undefined;
  /** Answers to choose from, by their likelihood, instead of writing one. */
  readonly candidates?: readonly string[] | undefined;
}

/**
 * The words around a question that fine-tuning taught a model, or that models without were evaluated with: the appendix of
 * the paper (table 12), and of InstructBLIP's (Dai et al. 2023, appendix E) where the queries read them too.
 */
export function questionPrompt({ files: { config, language, instructed } }: Sessions, question: string): string {
  if (config.question_prompt !== undefined) return config.question_prompt.replace('{}', () => question);
  const short = instructed || language?.modelType === 't5';
  return `Question: ${question} ${short ? 'Short answer' : 'Answer'}:`;
}

/** The language model's answer to a question about an image; `score` is its mean log-probability. */
export async function answer(
  sessions: Sessions,
  image: OneImage,
  question: string,
  { raw = false, candidates, ...options }: AnswerOptions = {},
): Promise<Written> {
  sessions.language(); // refuses a model without one before the image is read
  const prompt = raw ? question : questionPrompt(sessions, question);
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
  const language = sessions.language();
  const { tokenizer, endTokens } = language;
  const { language_projection: softPrompts } = await readQueries(sessions, features, [prompt]);
  const model = await sessions.languageModel();
  const text = encodePrompts(language, [prompt]);
  const rows = candidates.map((candidate) => [
    ...tokenizer.encode(` ${candidate}`, { addSpecialTokens: false }),
    endTokens[0]!,
  ]);
  const decoding = await model.prefill(
    { softPrompts: softPrompts as Value<'float32'>, ...text },
    { copies: candidates.length },
  );
  const scores = (await tokenLogProbabilities(decoding, rows, signal)).map(mean);
  const best = scores.indexOf(Math.max(...scores));
  return { text: candidates[best]!, score: scores[best]! };
}

const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length;
