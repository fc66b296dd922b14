import { UsageError } from '../core/index.ts';
import type { StoppingCriterion } from './stopping.ts';

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
  /** Draw from the k most likely tokens. */
  readonly topK?: number | undefined;
  /** Draw from the fewest most likely tokens whose probabilities sum to this. */
  readonly topP?: number | undefined;
  /** Default 0. */
  readonly seed?: number | undefined;
  /** How many sequences for each prompt: the best beams, or as many draws. Default 1. */
  readonly numReturnSequences?: number | undefined;

  /** Above 1: tokens that are in the sequence already become less likely (Keskar et al. 2019). */
  readonly repetitionPenalty?: number | undefined;
  /** No n-gram of this size twice. */
  readonly noRepeatNgramSize?: number | undefined;
  /**
   * By prompt, the ids before the first new one that the last two options look at: transformers' `generate` counts the
   * whole prompt with its image tokens, LAVIS nothing. Default: nothing.
   */
  readonly history?: readonly (readonly number[])[] | undefined;

  readonly signal?: AbortSignal | undefined;
}

type Checked = 'maxNewTokens' | 'minNewTokens' | 'numBeams' | 'lengthPenalty' | 'earlyStopping' | 'numReturnSequences';
/** Options with defaults, checked. */
export interface ResolvedOptions extends Omit<GenerationOptions, Checked | 'eosTokenId'> {
  readonly maxNewTokens: number;
  readonly minNewTokens: number;
  readonly numBeams: number;
  readonly lengthPenalty: number;
  readonly earlyStopping: boolean | 'never';
  readonly numReturnSequences: number;
  readonly endTokens: readonly number[];
}

/** Throws UsageError naming the option that cannot be. */
export function resolveOptions({ eosTokenId, ...options }: GenerationOptions): ResolvedOptions {
  const resolved: ResolvedOptions = {
    ...options,
    maxNewTokens: options.maxNewTokens ?? 20,
    minNewTokens: options.minNewTokens ?? 0,
    numBeams: options.numBeams ?? 1,
    lengthPenalty: options.lengthPenalty ?? 1,
    earlyStopping: options.earlyStopping ?? false,
    numReturnSequences: options.numReturnSequences ?? 1,
    endTokens: eosTokenId === undefined ? [] : [eosTokenId].flat(),
  };
  for (const [name, least] of Object.entries({
    maxNewTokens: 1,
    minNewTokens: 0,
    numBeams: 1,
    numReturnSequences: 1,
  })) {
    const n = resolved[name as 'numBeams'];
    require(Number.isInteger(n) && n >= least, `${name}: expected a whole number of at least ${least}, found ${n}`);
  }
  checkSampling(resolved);
  return resolved;
}

function checkSampling(o: ResolvedOptions): void {
  const { temperature = 1, topK = 1, topP = 1, repetitionPenalty = 1, noRepeatNgramSize = 1 } = o;
  require(temperature > 0, `temperature: expected a number above 0, found ${temperature}`);
  require(Number.isInteger(topK) && topK > 0, `topK: expected a whole number above 0, found ${topK}`);
  require(topP > 0 && topP <= 1, `topP: expected a number above 0 and at most 1, found ${topP}`);
  require(repetitionPenalty > 0, `repetitionPenalty: expected a number above 0, found ${repetitionPenalty}`);
  require(Number.isInteger(noRepeatNgramSize) &&
    noRepeatNgramSize > 0, `noRepeatNgramSize: expected a whole number above 0, found ${noRepeatNgramSize}`);
  require(!(o.doSample && o.numBeams > 1), 'doSample and numBeams above 1 do not go together: choose one');
  require(o.doSample ||
    o.numReturnSequences <=
      o.numBeams, `numReturnSequences ${o.numReturnSequences} needs doSample, or as many beams (numBeams is ${o.numBeams})`);
}

function require(holds: boolean, message: string): void {
  if (!holds) throw new UsageError(message);
}
