import { type Random, random, UsageError } from '../core/index.ts';
import { type GenerationOptions, type ResolvedOptions, resolveOptions } from './options.ts';
import { processorsOf, softmax, sumOfExponentials } from './processors.ts';
import type { StepModel } from './step.ts';
import { type FinishReason, finishOf } from './stopping.ts';

/** One token of one sequence, as it is written. */
export interface WrittenToken {
  /** The r-th sequence of prompt b is row b · numReturnSequences + r. */
  readonly row: number;
  readonly token: number;
  /** Of the token, among all that could have been written here. */
  readonly logProbability: number;
  /** Set at the sequence's last token. */
  readonly finish: FinishReason | undefined;
}

/** A row that is being written. */
interface Row {
  /** The history and the new tokens. */
  readonly ids: number[];
  readonly tokens: number[];
  readonly draws: Random;
  finish: FinishReason | undefined;
}

/**
 * Writes the most likely tokens, or draws them (`doSample`), and yields each as it comes. What is drawn for a prompt
 * depends on the seed alone, not on the batch it is in. Throws UsageError for options that cannot be; an aborted signal
 * throws its reason before the next step.
 */
export async function* streamTokens<P>(
  model: StepModel<P>,
  prompt: P,
  options: GenerationOptions = {},
): AsyncGenerator<WrittenToken> {
  const resolved = resolveOptions(options);
  if (resolved.numBeams > 1)
    throw new UsageError('numBeams: a beam search has nothing to stream before its end; use 1');
  const next = tokenChooser(resolved);
  const copies = resolved.numReturnSequences;
  const decoding = await model.prefill(prompt, { copies });
  const rows = Array.from({ length: decoding.rows }, (_, row): Row => {
    const history = resolved.history?.[Math.floor(row / copies)] ?? [];
    return {
      ids: [...history],
      tokens: [],
      draws: random(resolved.seed ?? 0, 'tokens', row % copies),
      finish: undefined,
    };
  });
  for (;;) {
    for (const [row, state] of rows.entries()) {
      if (state.finish) continue;
      const { token, logProbability } = next(decoding.scores(row), state);
      state.ids.push(token);
      state.tokens.push(token);
      state.finish = finishOf(state.tokens, resolved);
      yield { row, token, logProbability, finish: state.finish };
    }
    if (rows.every(({ finish }) => finish)) return;
    resolved.signal?.throwIfAborted();
    await decoding.step(rows.map(({ tokens }) => tokens.at(-1)!)); // a finished row goes on unread
  }
}

/** Chooses a row's next token from its logits. */
function tokenChooser(
  options: ResolvedOptions,
): (logits: Float32Array, row: Row) => Pick<WrittenToken, 'token' | 'logProbability'> {
  const process = processorsOf(options);
  return (logits, { ids, tokens, draws }) => {
    process(logits, { ids, newTokens: tokens.length });
    if (!options.doSample) {
      const token = argMax(logits);
      return { token, logProbability: -Math.log(sumOfExponentials(logits, logits[token]!)) };
    }
    const probabilities = softmax(logits);
    const token = draw(probabilities, draws.uniform());
    return { token, logProbability: Math.log(probabilities[token]!) };
  };
}

/** The first of the largest entries. */
function argMax(scores: Float32Array): number {
  let best = 0;
  for (let i = 1; i < scores.length; i++) if (scores[i]! > scores[best]!) best = i;
  return best;
}

/** The entry at which the running sum of probabilities passes `uniform` in [0, 1). */
function draw(probabilities: Float64Array, uniform: number): number {
  let sum = 0;
  let last = 0;
  for (const [i, probability] of probabilities.entries()) {
    if (probability === 0) continue;
    sum += probability;
    last = i;
    if (uniform < sum) break;
  }
  return last; // rounding may leave the whole sum a little below 1
}
