import { afterAll, describe, expect, it } from 'vitest';
import { floats, int64s, toFloat32, toNumbers, type Value } from '../../src/core/index.ts';
import { compileLanguageModel, type GenerationOptions, generate, type Prompt } from '../../src/generation/index.ts';
import {
  type LogitsProcessor,
  minNewTokens,
  noRepeatNgram,
  repetitionPenalty,
  temperature,
  topK,
  topP,
} from '../../src/generation/processors.ts';
import { absoluteError, type Fixture, readFixture, readJson, take, takeAll, tolerances } from './fixtures.ts';
import { checkpoints, openLanguageModel } from './language-case.ts';

type Kwargs = Readonly<Record<string, number | boolean | number[]>>;

/** One call of transformers' `generate`. */
interface Run {
  readonly sequences: readonly (readonly number[])[];
  readonly trimmed: readonly (readonly number[])[];
  readonly prompt_length: number;
  readonly sequences_scores?: readonly number[];
  /** Rounding does not change it. */
  readonly stable: boolean;
  readonly generate_kwargs: Kwargs;
}

interface Case {
  readonly default_eos: number;
  readonly runs: Readonly<Record<string, Run>>;
  /** From embeddings alone, as LAVIS calls the language model. */
  readonly lavis_runs?: Readonly<Record<string, Run>>;
}

/** transformers' arguments as options; `promptLength` is part of its total lengths. Throws for one that is not known. */
function optionsOf({ generate_kwargs: kwargs }: Run, { promptLength }: { promptLength: number }): GenerationOptions {
  const known: Record<string, (n: never) => GenerationOptions> = {
    max_new_tokens: (maxNewTokens: number) => ({ maxNewTokens }),
    max_length: (length: number) => ({ maxNewTokens: length - promptLength }),
    min_new_tokens: (n: number) => ({ minNewTokens: n }),
    min_length: (length: number) => ({ minNewTokens: Math.max(0, length - promptLength) }),
    num_beams: (numBeams: number) => ({ numBeams }),
    num_return_sequences: (numReturnSequences: number) => ({ numReturnSequences }),
    length_penalty: (lengthPenalty: number) => ({ lengthPenalty }),
    early_stopping: (earlyStopping: boolean) => ({ earlyStopping }),
    repetition_penalty: (penalty: number) => ({ repetitionPenalty: penalty }),
    no_repeat_ngram_size: (noRepeatNgramSize: number) => ({ noRepeatNgramSize }),
    eos_token_id: (eosTokenId: number | number[]) => ({ eosTokenId }),
  };
  const parts = Object.entries(kwargs).map(([key, v]) => {
    const part = known[key];
    if (!part) throw new Error(`the fixture uses ${key}, which this test does not know`);
    return part(v as never);
  });
  return Object.assign({}, ...parts);
}

/** The columns of a [B, T] tensor from `start`. */
function columnsFrom(v: Value, start: number): Value<'int64'> {
  const [rows, length] = v.shape as [number, number];
  return int64s(
    [rows, length - start],
    toNumbers(v).filter((_, i) => i % length >= start),
  );
}

/** The recorded visual prompt and the text after it. */
function promptOf(fixture: Fixture): Prompt {
  const visual = take(fixture, 'out.language_projection');
  const queries = visual.shape[1]!;
  return {
    softPrompts: floats(visual.shape, toFloat32(visual)),
    inputIds: columnsFrom(take(fixture, 'in.input_ids'), queries),
    attentionMask: columnsFrom(take(fixture, 'in.attention_mask'), queries),
  };
}

for (const name of checkpoints) {
  describe(`${name} generates`, async () => {
    const { lm, ...at } = await openLanguageModel(name);
    const model = await compileLanguageModel(lm, at);
    afterAll(() => model.release());

    for (const [caseName, recorded] of Object.entries(
      await readJson<Record<string, Case>>(`outputs/${name}/generation.json`),
    )) {
      const fixture = await readFixture(`outputs/${name}/${caseName}.safetensors`);
      const prompt = promptOf(fixture);
      const promptLength = take(fixture, 'in.input_ids').shape[1]!;
      const runs = { ...recorded.runs, ...recorded.lavis_runs };
      const stable = Object.entries(runs).filter(([, run]) => run.stable);

      it.each(stable)(`the ids of ${caseName} %s`, async (_, run) => {
        const options = { eosTokenId: recorded.default_eos, ...optionsOf(run, { promptLength }) };
        const returned = options.numReturnSequences ?? 1;
        const history = run.sequences
          .filter((_, i) => i % returned === 0)
          .map((row) => row.slice(0, run.prompt_length));
        const sequences = (await generate(model, prompt, { ...options, history })).flat();
        expect(sequences.map(({ tokens }) => tokens)).toEqual(run.trimmed);
        if (!run.sequences_scores) return;
        // As Σ log p: where a length penalty below 0 multiplies it, it multiplies the reference's rounding too.
        const sumOf = (score: number, i: number) => score * run.trimmed[i]!.length ** (options.lengthPenalty ?? 1);
        const scores = sequences.map(({ score }) => score ?? Number.NaN);
        expect(absoluteError(scores.map(sumOf), run.sequences_scores.map(sumOf))).toBeLessThan(
          tolerances.sequenceScore,
        );
      });
    }
  });
}

describe('logits processors', async () => {
  const fixture = await readFixture('generation/logits_processors.safetensors');
  const logits = take(fixture, 'in.logits');
  const ids = take(fixture, 'in.input_ids');
  const [rows, width] = logits.shape as [number, number];

  /** By the name of the expected tensor: a processor, and how many of the ids are the prompt. */
  const known: [RegExp, (...n: number[]) => LogitsProcessor, promptLength?: (...n: number[]) => number][] = [
    [/^min_length_(\d+)_eos_(\d+)$/, (least, eos) => minNewTokens(least!, [eos!])],
    [/^min_new_tokens_(\d+)_prompt_(\d+)_eos_(\d+)$/, (least, _, eos) => minNewTokens(least!, [eos!]), (_, n) => n!],
    [/^no_repeat_ngram_(\d+)$/, (n) => noRepeatNgram(n!)],
    [/^repetition_penalty_([\d.]+)$/, (penalty) => repetitionPenalty(penalty!)],
    [/^temperature_([\d.]+)$/, (t) => temperature(t!)],
    [/^top_k_(\d+)$/, (k) => topK(k!)],
    [/^top_p_([\d.]+)$/, (p) => topP(p!)],
  ];

  it.each(Object.entries(takeAll(fixture, 'out.')))('%s', (name, expected) => {
    const entry = known.find(([pattern]) => pattern.test(name));
    if (!entry) throw new Error(`no processor is called ${name}`);
    const [pattern, processor, promptLength = () => 0] = entry;
    const numbers = pattern.exec(name)!.slice(1).map(Number);
    const history = toNumbers(ids);
    const perRow = ids.shape[1]!;
    for (let row = 0; row < rows; row++) {
      const scores = toFloat32(logits).slice(row * width, (row + 1) * width);
      const written = history.slice(row * perRow, (row + 1) * perRow);
      processor(...numbers)(scores, { ids: written, newTokens: perRow - promptLength(...numbers) });
      const finite = scores.map((score) => (score === -Infinity ? -1e30 : score)); // as the fixture writes it
      expect(absoluteError(finite, toFloat32(expected).subarray(row * width, (row + 1) * width))).toBeLessThan(1e-6);
    }
  });
});
