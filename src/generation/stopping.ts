import type { ResolvedOptions, StoppingCriterion } from './options.ts';

/** Ends a sequence when its decoded text holds one of `strings`; {@link cutAtStop} takes it off the text. */
export const stopStrings =
  (strings: readonly string[], decode: (ids: readonly number[]) => string): StoppingCriterion =>
  (newTokens) => {
    const text = decode(newTokens);
    return strings.some((stop) => text.includes(stop));
  };

/** The text before the first of `strings` in it. */
export function cutAtStop(text: string, strings: readonly string[]): string {
  const starts = strings.map((stop) => text.indexOf(stop)).filter((start) => start >= 0);
  return text.slice(0, Math.min(text.length, ...starts));
}

/** Why a sequence ended: a token or text that ends it, or `maxNewTokens`. */
export type FinishReason = 'stop' | 'length';

/** A written sequence. */
export interface Generated {
  /** The new tokens, an end token included. */
  readonly tokens: readonly number[];
  readonly finish: FinishReason;
  /** Σ log p / (tokens)^lengthPenalty, after the penalties that the options ask for. */
  readonly score: number;
  /** Σ log p, after the same penalties. */
  readonly logProbability: number;
}

/** Why a sequence of these new tokens ends here, if it does. */
export function finishOf(tokens: readonly number[], options: ResolvedOptions): FinishReason | undefined {
  const { endTokens, stop, maxNewTokens } = options;
  if (endTokens.includes(tokens.at(-1)!) || stop?.(tokens)) return 'stop';
  return tokens.length >= maxNewTokens ? 'length' : undefined;
}
