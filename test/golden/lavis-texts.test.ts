/** What LAVIS's own `generate` and `predict_answers` write on the checkpoints: its lengths count the prompt. */
import { afterAll, describe, expect, it } from 'vitest';
import type { Value } from '../../src/core/index.ts';
import { type GenerationOptions, generate } from '../../src/generation/index.ts';
import { openModel } from '../../src/pipelines/model-files.ts';
import { readQueries } from '../../src/pipelines/queries.ts';
import { Sessions } from '../../src/pipelines/sessions.ts';
import { encodePrompts } from '../../src/pipelines/write.ts';
import { goldenPath, hasFixture, readFixture, readJson, take } from './fixtures.ts';

interface Texts {
  readonly prompt: string;
  readonly vqa_prompt: string;
  readonly questions: readonly string[];
  readonly instruct_prompts: readonly string[];
  /** By checkpoint: a call's names (with `/` between them and `*` in them), and its arguments in prose. */
  readonly calls: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly results: Readonly<Record<string, Readonly<Record<string, Result>>>>;
}
interface Result {
  readonly text: readonly string[];
  readonly stable: boolean;
}

const texts = await readJson<Texts>('generation/lavis_texts.json');
const names = Object.keys(texts.results).filter((name) => hasFixture(`checkpoints/${name}/config.json`));

describe.each(names)('LAVIS on %s', async (name) => {
  const sessions = new Sessions(await openModel(goldenPath(`checkpoints/${name}`)), {});
  afterAll(() => sessions.release());
  const { tokenizer, endTokens, lm } = sessions.language();
  const batch = await readFixture(`outputs/${name}/batch_left.safetensors`); // of the same pictures
  const pixelValues = take(batch, 'in.pixel_values');
  const [images, , height, width] = pixelValues.shape as [number, number, number, number];

  const stable = Object.entries(texts.results[name]!).filter(([, { stable }]) => stable);
  it.each(stable)('writes the words of %s', async (call, { text: expected }) => {
    const args = argumentsOf(name, call);
    const prompts = promptsOf(name, call, images);
    const vision = await sessions.vision({ height, width });
    const { image_embeds } = await vision.run({ pixel_values: pixelValues });
    const { language_projection } = await readQueries(sessions, image_embeds, prompts);
    const text = encodePrompts(sessions.language(), prompts);
    const promptLength = lm.kind === 'decoder' ? language_projection!.shape[1]! + text.inputIds.shape[1]! : 0;
    const written = await generate(
      await sessions.languageModel(),
      { softPrompts: language_projection as Value<'float32'>, ...text },
      { ...optionsOf(args, promptLength), eosTokenId: endTokens },
    );
    expect(written.flat().map(({ tokens }) => tokenizer.decode(withoutZeros(tokens)).trim())).toEqual(expected);
  });

  /** InstructBLIP on Llama writes an end token for every 0. */
  const withoutZeros = (tokens: readonly number[]): number[] =>
    tokens.map((token) => (token === 0 && sessions.files.instructed ? endTokens[0]! : token));
});

function promptsOf(name: string, call: string, images: number): readonly string[] {
  if (call.startsWith('predict_answers')) return texts.questions.map((q) => texts.vqa_prompt.replace('{}', q));
  if (texts.calls[name]![call]?.includes('instruct_prompts')) return texts.instruct_prompts;
  return new Array<string>(images).fill(call.includes('pretrain') ? '' : texts.prompt);
}

/** The numbers `name=n` of a call, after the defaults of LAVIS's signatures. */
function argumentsOf(name: string, call: string): ReadonlyMap<string, number> {
  const calls = texts.calls[name]!;
  const matches = (pattern: string) => new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(call);
  const [, prose = ''] = Object.entries(calls).find(([names]) => names.split(' / ').some(matches)) ?? [];
  if (prose.startsWith('as for OPT')) return argumentsOf('blip2-opt', call);
  const given = [...prose.matchAll(/(\w+)=(-?[\d.]+)/g)].map(([, key, n]) => [key!, Number(n)] as const);
  expect(given.length, `arguments of ${call}`).toBeGreaterThan(0);
  const args = new Map([['num_beams', 5], ...given]);
  if (!name.startsWith('instructblip')) return args;
  // InstructBLIP's predict_answers calls its generate, which has another default and counts the prompt.
  return new Map([['repetition_penalty', 1.5], ['max_length', args.get('max_len') ?? 256], ...args]);
}

/** `max_length` and `min_length` count a decoder's prompt, `max_len` does not. */
function optionsOf(args: ReadonlyMap<string, number>, promptLength: number): GenerationOptions {
  const longest = args.get('max_length');
  const least = args.get('min_length') ?? args.get('min_len') ?? 1;
  return {
    maxNewTokens: longest === undefined ? args.get('max_len') : longest - promptLength,
    minNewTokens: Math.max(0, least - promptLength),
    numBeams: args.get('num_beams'),
    repetitionPenalty: args.get('repetition_penalty'),
    lengthPenalty: args.get('length_penalty'),
    numReturnSequences: args.get('num_captions'),
  };
}
