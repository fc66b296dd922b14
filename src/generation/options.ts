import { UsageError } from '../core/index.ts';

/** Whether a sequence is complete, from its new tokens. */
export type StoppingCriterion = (newTokens: readonly number[]) => boolean;

/** How to write, by transformers' names (camelCase) and with its meanings and defaults. */
export interface GenerationOptions {
  /** Default 20. */
  readonly maxNewTokens?: number | undefined;
  /** No end token before so many. */
  readonly minNewTokens?: number | undefined;
  /** Tokens that end a sequence; they are part of it. */
  readonly eosTokenId?: number | readonly number[] | undefined;
  /** Ends a sequence for another reason than an end token: see `stopStrings`. */
  readonly stop?: StoppingCriterion | undefined;

  /** Above 1: beam search. */
  readonly numBeams?: number | undefined;
  /** Beam scores are divided by (new tokens)^lengthPenalty: above 0 favours long sequences. Default 1. */
  readonly lengthPenalty?: number | undefined;
  /**
   * When beam search stops once it has `numBeams` finished sequences: at once (true); when the best open beam would not
   * be better if it ended now (false, the default), or at any length ('never').
   */
  readonly earlyStopping?: boolean | 'never' | undefined;

  /** Draw tokens instead of taking the most likely one. */
  readonly doSample?: boolean | undefined;
  readonly temperature?: number | undefined;
  /** Draw from the k most likely tokens; 0: from all. Default 50. */
  readonly topK?: number | undefined;
  /** Draw from the fewest most likely tokens whose probabilities sum to this. */
  readonly topP?: number | undefined;
  /** Default 0. */
  readonly seed?: number | undefined;
  /** How many sequences for each prompt: the best beams, or as many draws. Default 1. */
  readonly numReturnSequences?: number | undefined;

  /** Above 1: tokens that are in the sequence already become less likely (Keskar et al. 2019). */
  readonly repetitionPenalty?: number | undefined;
  /** No n-gram of this size twice. Default 0: n-grams may repeat. */
  readonly noRepeatNgramSize?: number | undefined;
  /**
   * By prompt, the ids before the first new one that the last two options look at: transformers' `generate` counts the
   * whole prompt with its image tokens, LAVIS nothing. Default: nothing.
   */
  readonly history?: readonly (readonly number[])[] | undefined;

  readonly signal?: AbortSignal | undefined;
}

type Checked =
  | 'maxNewTokens'
  | 'minNewTokens'
  | 'numBeams'
  | 'lengthPenalty'
  | 'earlyStopping'
  | 'numReturnSequences'
  | 'topK'
  | 'noRepeatNgramSize';
/** Options with defaults, checked. */
export interface ResolvedOptions extends Omit<GenerationOptions, Checked | 'eosTokenId'> {
  readonly maxNewTokens: number;
  readonly minNewTokens: number;
  readonly numBeams: number;
  readonly lengthPenalty: number;
  readonly earlyStopping: boolean | 'never';
  readonly numReturnSequences: number;
  readonly topK: number;
  readonly noRepeatNgramSize: number;
  readonly endTokens: readonly number[];
}

interface Limit {
  readonly holds: (n: number) => boolean;
  readonly expected: string;
}

const whole = (least: number): Limit => ({
  holds: (n) => Number.isInteger(n) && n >= least,
  expected: `a whole number of at least ${least}`,
});
const positive: Limit = { holds: (n) => n > 0, expected: 'a number above 0' };

const limits = {
  maxNewTokens: whole(1),
  minNewTokens: whole(0),
  numBeams: whole(1),
  numReturnSequences: whole(1),
  noRepeatNgramSize: whole(0),
  topK: whole(0),
  topP: { holds: (p) => p > 0 && p <= 1, expected: 'a number above 0 and at most 1' },
  temperature: positive,
  repetitionPenalty: positive,
} satisfies Partial<Record<keyof GenerationOptions, Limit>>;

/** Throws UsageError naming the option that cannot be. */
export function resolveOptions({ eosTokenId, ...options }: GenerationOptions): ResolvedOptions {
  for (const [name, { holds, expected }] of Object.entries<Limit>(limits)) {
    const n = options[name as keyof typeof limits];
    if (n !== undefined && !holds(n)) throw new UsageError(`${name}: expected ${expected}, found ${n}`);
  }
  const { numBeams = 1, numReturnSequences = 1, doSample } = options;
  if (doSample && numBeams > 1) {
    throw new UsageError('doSample and numBeams above 1 do not go together: choose one');
  }
  if (!doSample && numReturnSequences > numBeams) {
    throw new UsageError(
      `numReturnSequences ${numReturnSequences} needs doSample, or as many beams (numBeams is ${numBeams})`,
    );
  }
  return {
    ...options,
    maxNewTokens: options.maxNewTokens ?? 20,
    minNewTokens: options.minNewTokens ?? 0,
    numBeams,
    lengthPenalty: options.lengthPenalty ?? 1,
    earlyStopping: options.earlyStopping ?? false,
    numReturnSequences,
    topK: options.topK ?? 50,
    noRepeatNgramSize: options.noRepeatNgramSize ?? 0,
    endTokens: eosTokenId === undefined ? [] : [eosTokenId].flat(),
  };
}
