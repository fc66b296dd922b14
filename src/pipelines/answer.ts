import { UsageError, type Value } from '../core/index.ts';
import { fillIn } from '../text/index.ts';
import { featuresToWriteAbout, imagesOf, type OneImage } from './images.ts';
import { continuations, tokenLogProbabilities } from './likelihood.ts';
import { readQueries } from './queries.ts';
import type { Sessions } from './sessions.ts';
import {
  encodePrompts,
  requireRoom,
  type SequenceOptions,
  streamByLanguageModel,
  type WritingOptions,
  type Written,
  writeByLanguageModel,
} from './write.ts';

export interface QuestionOptions extends WritingOptions {
  /** Give the question to the model as it is, without the template around it. */
  readonly raw?: boolean | undefined;
}

export interface AnswerOptions extends QuestionOptions {
  /** Answers to choose from, by their likelihood, instead of writing one. */
  readonly candidates?: readonly string[] | undefined;
}

/**
 * The words around a question that fine-tuning taught a model, or that models without were evaluated with: BLIP-2's paper,
 * §4.1 (zero-shot VQA), and LAVIS's recipes for InstructBLIP (projects/instructblip/qa_okvqa_*.yaml).
 */
export function questionPrompt({ files: { config, language, instructed } }: Sessions, question: string): string {
  if (config.question_prompt !== undefined) return fillIn(config.question_prompt, question);
  const answer = instructed ? 'Short Answer' : language?.modelType === 't5' ? 'Short answer' : 'Answer';
  return `Question: ${question} ${answer}:`;
}

/**
 * The language model's answers to a question about an image, or the likeliest candidates: `numReturnSequences` of them,
 * best first. `score` is as of everything written, and of a candidate the log-probability of the whole of it.
 */
export async function answers(
  sessions: Sessions,
  image: OneImage,
  question: string,
  { raw, candidates, ...options }: AnswerOptions & SequenceOptions = {},
): Promise<Written[]> {
  const copies = candidates ? { numReturnSequences: Math.min(candidates.length, candidatesAtOnce) } : {};
  const { features, prompt } = await readQuestion(sessions, image, question, { raw, ...options, ...copies });
  if (!candidates) return writeByLanguageModel(sessions, features, { ...options, prompts: [prompt] });
  const ranked = await rankAnswers(sessions, features, { prompt, candidates, signal: options.signal });
  return ranked.slice(0, options.numReturnSequences ?? 1);
}

/** An answer in pieces, as it is written; what a beam search finds comes at once. */
export async function* streamAnswer(
  sessions: Sessions,
  image: OneImage,
  question: string,
  { raw, ...options }: QuestionOptions = {},
): AsyncGenerator<string, void, void> {
  const { features, prompt } = await readQuestion(sessions, image, question, { raw, ...options });
  yield* streamByLanguageModel(sessions, features, { ...options, prompt });
}

async function readQuestion(
  sessions: Sessions,
  image: OneImage,
  question: string,
  { raw = false, ...options }: QuestionOptions & SequenceOptions,
): Promise<{ features: Value; prompt: string }> {
  sessions.language(); // refuses a model without one before the image is read
  const prompt = raw ? question : questionPrompt(sessions, question);
  const features = await featuresToWriteAbout(sessions, imagesOf(image), options);
  options.signal?.throwIfAborted();
  return { features, prompt };
}

/** So many candidates are read at once: memory does not grow with their number. */
const candidatesAtOnce = 64;

/**
 * Candidates by the likelihood of the whole of each, not by that of a token: so the reference ranks (LAVIS, `predict_class`,
 * whose mean is over a batch's padded length). The end counts, as in blip2_t5_instruct.py; in blip2_vicuna_instruct.py it
 * does not.
 */
async function rankAnswers(
  sessions: Sessions,
  features: Value,
  { prompt, candidates, signal }: { prompt: string; candidates: readonly string[]; signal?: AbortSignal | undefined },
): Promise<Written[]> {
  if (candidates.length === 0) throw new UsageError('candidates: expected at least one answer, found none');
  const language = sessions.language();
  const { language_projection } = await readQueries(sessions, features, [prompt]);
  const rows = continuations(language, prompt, candidates);
  const read = { softPrompts: language_projection as Value<'float32'>, ...encodePrompts(language, [prompt]) };
  requireRoom(language.lm, read, Math.max(...rows.map((row) => row.length)));
  const model = await sessions.languageModel();
  const scores: number[] = [];
  for (let start = 0; start < rows.length; start += candidatesAtOnce) {
    signal?.throwIfAborted();
    const some = rows.slice(start, start + candidatesAtOnce);
    const decoding = await model.prefill(read, { copies: some.length });
    scores.push(...(await tokenLogProbabilities(decoding, some, signal)).map(sum));
  }
  return candidates
    .map((text, i) => ({ text, score: scores[i]!, logProbability: scores[i]! }))
    .sort((a, b) => b.score - a.score);
}

const sum = (values: readonly number[]): number => values.reduce((total, x) => total + x, 0);
