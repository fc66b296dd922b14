import type { ResolvedOptions } from './options.ts';

/** A sequence as the processors see it. */
export interface Written {
  /** The prompt's part of the history, then the new tokens. */
  readonly ids: readonly number[];
  /** How many of them are new. */
  readonly newTokens: number;
}

/** Changes the scores [V] of a sequence's next token, in place. */
export type LogitsProcessor = (scores: Float32Array, written: Written) => void;

/** Scores of tokens that are in the sequence shrink by `penalty`, whatever their sign (Keskar et al. 2019). */
export const repetitionPenalty =
  (penalty: number): LogitsProcessor =>
  (scores, { ids }) => {
    for (const id of new Set(ids)) {
      const score = scores[id];
      if (score !== undefined) scores[id] = score < 0 ? score * penalty : score / penalty;
    }
  };

/** Rules out every token that would complete an n-gram the sequence has already. */
export const noRepeatNgram =
  (n: number): LogitsProcessor =>
  (scores, { ids }) => {
    const tail = ids.slice(ids.length - (n - 1));
    for (let start = 0; start + n <= ids.length; start++) {
      const repeats = tail.every((id, i) => ids[start + i] === id);
      if (repeats) scores[ids[start + n - 1]!] = -Infinity;
    }
  };

/** Rules out the end tokens until the sequence has so many new ones. */
export const minNewTokens =
  (least: number, endTokens: readonly number[]): LogitsProcessor =>
  (scores, { newTokens }) => {
    if (newTokens < least) for (const id of endTokens) scores[id] = -Infinity;
  };

export const temperature =
  (t: number): LogitsProcessor =>
  (scores) => {
    for (let i = 0; i < scores.length; i++) scores[i] = scores[i]! / t;
  };

/** Keeps the k best tokens, and all that equal the last of them. */
export const topK =
  (k: number): LogitsProcessor =>
  (scores) => {
    const least = scores.toSorted().at(-Math.min(k, scores.length))!;
    for (let i = 0; i < scores.length; i++) if (scores[i]! < least) scores[i] = -Infinity;
  };

/** Keeps the fewest best tokens whose probabilities sum to `p` or more (nucleus sampling, Holtzman et al. 2020). */
export const topP =
  (p: number): LogitsProcessor =>
  (scores) => {
    const probabilities = softmax(scores);
    const rising = [...scores.keys()].sort((a, b) => scores[a]! - scores[b]!);
    let below = 0;
    for (const id of rising.slice(0, -1)) {
      below += probabilities[id]!;
      if (below > 1 - p) break;
      scores[id] = -Infinity;
    }
  };

/** Everything the options ask for, in transformers' order. */
export function processorsOf(o: ResolvedOptions): LogitsProcessor {
  const chain: LogitsProcessor[] = [];
  if (o.repetitionPenalty !== undefined) chain.push(repetitionPenalty(o.repetitionPenalty));
  if (o.noRepeatNgramSize > 0) chain.push(noRepeatNgram(o.noRepeatNgramSize));
  if (o.minNewTokens > 0) chain.push(minNewTokens(o.minNewTokens, o.endTokens));
  if (o.doSample) {
    if (o.temperature !== undefined) chain.push(temperature(o.temperature));
    if (o.topK > 0) chain.push(topK(o.topK));
    if (o.topP !== undefined) chain.push(topP(o.topP));
  }
  return (scores, written) => {
    for (const process of chain) process(scores, written);
  };
}

/** Σ exp(x − best) for the largest x, `best`: 1 / its probability. */
export function sumOfExponentials(scores: Float32Array, best: number): number {
  let sum = 0;
  for (let i = 0; i < scores.length; i++) sum += Math.exp(scores[i]! - best);
  return sum;
}

/** exp(x − max x) / Σ exp(x − max x), in double precision. */
export function softmax(scores: Float32Array): Float64Array {
  const best = largest(scores);
  const weights = new Float64Array(scores.length);
  let sum = 0;
  for (let i = 0; i < scores.length; i++) {
    weights[i] = Math.exp(scores[i]! - best);
    sum += weights[i]!;
  }
  for (let i = 0; i < scores.length; i++) weights[i]! /= sum;
  return weights;
}

/** x − log Σ exp x, in place. */
export function logSoftmax(scores: Float32Array): void {
  const best = largest(scores);
  const logSum = best + Math.log(sumOfExponentials(scores, best));
  for (let i = 0; i < scores.length; i++) scores[i] = scores[i]! - logSum;
}

function largest(scores: Float32Array): number {
  let best = -Infinity;
  for (const score of scores) if (score > best) best = score;
  return best;
}
