import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../core/index.ts';
import {
  type Generated,
  type GenerationOptions,
  generate,
  type StepModel,
  stopStrings,
  streamTokens,
} from './index.ts';

/** Prompts are the tokens so far; what comes next depends on the last one alone: row t of `table` has its logits. */
function markov(table: readonly (readonly number[])[]): StepModel<readonly number[]> & { steps: number } {
  const model = {
    steps: 0,
    prefill: (prompts: readonly number[], { copies }: { copies: number }) => {
      let last = prompts.flatMap((token) => new Array<number>(copies).fill(token));
      return Promise.resolve({
        rows: last.length,
        scores: (row: number) => Float32Array.from(table[last[row]!]!),
        step: (tokens: readonly number[]) => {
          model.steps += 1;
          last = [...tokens];
          return Promise.resolve();
        },
      });
    },
  };
  return model;
}

/** After t comes t + 1; token 9 is followed by 0. */
const counting = () =>
  markov(
    Array.from({ length: 10 }, (_, t) => Array.from({ length: 10 }, (_, next) => (next === (t + 1) % 10 ? 5 : 0))),
  );

const tokensOf = (sequences: readonly (readonly Generated[])[]) => sequences.map((all) => all.map((g) => g.tokens));

describe('generate', () => {
  it('goes on until an end token, a stop string or the length', async () => {
    const stop = stopStrings(['67'], (ids) => ids.join(''));
    const cases: [GenerationOptions, number[], Generated['finish']][] = [
      [{ maxNewTokens: 3 }, [4, 5, 6], 'length'],
      [{ eosTokenId: [8, 5] }, [4, 5], 'stop'],
      [{ eosTokenId: 5, minNewTokens: 3, maxNewTokens: 4 }, [4, 0, 1, 2], 'length'],
      [{ stop }, [4, 5, 6, 7], 'stop'],
    ];
    for (const [options, tokens, finish] of cases) {
      expect(await generate(counting(), [3], options)).toMatchObject([[{ tokens, finish }]]);
    }
  });

  it('goes on with the others of a batch when one has ended', async () => {
    const sequences = await generate(counting(), [3, 7], { eosTokenId: 9, maxNewTokens: 4 });
    expect(sequences).toMatchObject([
      [{ tokens: [4, 5, 6, 7], finish: 'length' }],
      [{ tokens: [8, 9], finish: 'stop' }],
    ]);
  });

  it('draws as often as the probabilities say', async () => {
    const logits = [1, 0, -1, 2, 0.5];
    const options = { doSample: true, temperature: 0.7, topK: 4, maxNewTokens: 1, numReturnSequences: 4000, seed: 3 };
    const [drawn] = await generate(markov([logits]), [0], options);
    const weights = logits.map((x) => (x === -1 ? 0 : Math.exp(x / 0.7))); // -1 is not among the best four
    const total = weights.reduce((a, b) => a + b);
    weights.forEach((weight, token) => {
      const p = weight / total;
      const share = drawn!.filter(({ tokens }) => tokens[0] === token).length / 4000;
      expect(Math.abs(share - p)).toBeLessThanOrEqual(5 * Math.sqrt((p * (1 - p)) / 4000));
    });
  });

  it("draws from transformers' 50 likeliest tokens where topK is not set, and from all where it is 0", async () => {
    const logits = Array.from({ length: 60 }, (_, token) => token / 1000);
    const options = { doSample: true, maxNewTokens: 1, numReturnSequences: 2000 };
    const drawn = async (topK?: number) => {
      const [sequences] = await generate(markov([logits]), [0], { ...options, topK });
      return new Set(sequences!.map(({ tokens }) => tokens[0]));
    };
    expect(await drawn()).toEqual(new Set(Array.from({ length: 50 }, (_, i) => 10 + i)));
    expect((await drawn(0)).size).toBe(60);
  });

  it('repeats n-grams where their size is 0', async () => {
    const written = (noRepeatNgramSize?: number) =>
      generate(counting(), [3], { maxNewTokens: 14, noRepeatNgramSize }).then(tokensOf);
    expect(await written(0)).toEqual(await written());
    expect(await written(2)).not.toEqual(await written());
  });

  it('draws the same for a prompt alone and in a batch, and something else with another seed', async () => {
    const model = () => markov(Array.from({ length: 20 }, () => new Array<number>(20).fill(0)));
    const options = { doSample: true, numReturnSequences: 2, maxNewTokens: 12 };
    const together = tokensOf(await generate(model(), [1, 2], { ...options, seed: 1 }));
    expect(tokensOf(await generate(model(), [2], { ...options, seed: 1 }))).toEqual([together[1]]);
    expect(tokensOf(await generate(model(), [2], { ...options, seed: 2 }))).not.toEqual([together[1]]);
    expect(together[1]![0]).not.toEqual(together[1]![1]);
  });

  it('finds by beams as many as there are sequences the best one of all', async () => {
    const [vocabulary, length, end] = [3, 3, 0];
    const row = fc.array(fc.double({ min: -3, max: 3, noNaN: true }), { minLength: vocabulary, maxLength: vocabulary });
    const table = fc.array(row, { minLength: vocabulary, maxLength: vocabulary });
    await fc.assert(
      fc.asyncProperty(table, fc.constantFrom(-1, 0, 1, 2), async (logits, lengthPenalty) => {
        const options = { numBeams: vocabulary ** length, maxNewTokens: length, eosTokenId: end, lengthPenalty };
        const [[found]] = (await generate(markov(logits), [1], options)) as [[Generated]];
        const best = Math.max(...allScores(logits, { start: 1, length, end, lengthPenalty }));
        expect(found.score).toBeCloseTo(best, 4);
      }),
    );
  });

  it.each<[GenerationOptions, RegExp]>([
    [{ maxNewTokens: 0 }, /maxNewTokens: expected a whole number of at least 1, found 0/],
    [{ numBeams: 1.5 }, /numBeams/],
    [{ temperature: 0, doSample: true }, /temperature: expected a number above 0, found 0/],
    [{ topP: 1.2, doSample: true }, /topP/],
    [{ doSample: true, numBeams: 2 }, /doSample and numBeams above 1/],
    [{ numReturnSequences: 3, numBeams: 2 }, /numReturnSequences 3 needs doSample, or as many beams \(numBeams is 2\)/],
  ])('refuses %j', async (options, message) => {
    await expect(generate(counting(), [3], options)).rejects.toThrow(message);
    await expect(generate(counting(), [3], options)).rejects.toThrow(UsageError);
  });
});

/** The scores of all sequences that end with `end` or are `length` long, by enumeration. */
function allScores(
  logits: readonly (readonly number[])[],
  { start, length, end, lengthPenalty }: { start: number; length: number; end: number; lengthPenalty: number },
): number[] {
  const continued = (last: number, tokens: number, sum: number): number[] => {
    if (tokens === length || (tokens > 0 && last === end)) return [sum / tokens ** lengthPenalty];
    const normaliser = Math.log(logits[last]!.reduce((total, x) => total + Math.exp(x), 0));
    return logits[last]!.flatMap((x, next) => continued(next, tokens + 1, sum + x - normaliser));
  };
  return continued(start, 0, 0);
}

describe('streamTokens', () => {
  it('yields each token before the next one is computed, and computes nothing that nobody reads', async () => {
    const model = counting();
    const seen: number[] = [];
    for await (const { token } of streamTokens(model, [3], { maxNewTokens: 8 })) {
      seen.push(token);
      expect(model.steps).toBe(seen.length - 1);
      if (seen.length === 3) break;
    }
    expect(seen).toEqual([4, 5, 6]);
    expect(model.steps).toBe(2);
  });

  it.each([1, 3])('stops with the reason of its signal, with %i beams too', async (numBeams) => {
    const controller = new AbortController();
    const model = counting();
    const stop = ({ length }: readonly number[]) => {
      if (length === 2) controller.abort(new Error('enough'));
      return false;
    };
    const written = generate(model, [3], { numBeams, stop, signal: controller.signal });
    await expect(written).rejects.toThrow('enough');
    expect(model.steps).toBe(1);
  });
});
