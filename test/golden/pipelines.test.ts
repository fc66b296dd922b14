/** Whole models, from pictures and strings to strings, against transformers (outputs/) and LAVIS's caption head (stage1/). */
import { mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { captionWriter, parseBlip2Config } from '../../src/blip2/index.ts';
import { floats, int64s, toFloat32, toNumbers, UsageError, type Value } from '../../src/core/index.ts';
import { compileLanguageModel } from '../../src/generation/index.ts';
import { Params } from '../../src/nn/index.ts';
import { queriesGraph } from '../../src/pipelines/graphs.ts';
import { Blip2, type CaptionOptions } from '../../src/pipelines/index.ts';
import { compile, weightsFrom } from '../../src/runtime/index.ts';
import { goldenPath, readFixture, readJson, relativeError, take, tolerances } from './fixtures.ts';
import { checkpoints } from './language-case.ts';
import { lavisStageOne, type StageOneNames } from './stage-one-names.ts';

interface Case {
  readonly file: string;
  readonly image?: string;
  readonly padding_side?: string;
  readonly prompts?: readonly string[];
}
interface Cases {
  readonly prompts: readonly string[];
  readonly cases: Readonly<Record<string, Case>>;
  readonly other?: Readonly<Record<string, { readonly file: string; readonly checkpoint: string }>>;
}
interface Run {
  readonly decoded: readonly string[];
  readonly stable: boolean;
  readonly generate_kwargs: Readonly<Record<string, number | boolean>>;
}

/** The rows of `logits` [1, T, V] that ours, which may be fewer, stand for. */
const firstRows = (logits: Value, like: Value): Value =>
  floats(like.shape, toFloat32(logits).subarray(0, like.data.length));

/** The words around questions in the paper (§4.1, zero-shot VQA), and in LAVIS's recipes for InstructBLIP. */
const templates: Readonly<Record<string, string>> = {
  'blip2-opt': 'Question: {} Answer:',
  'blip2-t5': 'Question: {} Short answer:',
  'instructblip-vicuna': 'Question: {} Short Answer:',
};

describe.each(checkpoints)('%s', async (name) => {
  const { cases, prompts: known } = await readJson<Cases>(`outputs/${name}/cases.json`);
  const generation = await readJson<Record<string, { runs: Record<string, Run> }>>(`outputs/${name}/generation.json`);
  const model = await Blip2.fromPretrained(goldenPath(`checkpoints/${name}`));
  afterAll(() => model.release());

  const single = Object.entries(cases).filter(([, { prompts }]) => prompts?.length === 1 || prompts === undefined);
  it.each(single)('gives the tensors of %s', async (_, { file, prompts: [prompt] = ['a photo of'] }) => {
    const fixture = await readFixture(`outputs/${name}/${file}`);
    await expectTensors(model, fixture, prompt);
  });

  const side = model.files.language?.lm.kind === 'decoder' ? 'left' : 'right'; // as the pipelines pad
  const padded = Object.entries(cases).filter(([, { padding_side }]) => (padding_side ?? side) === side);
  const runs = padded.flatMap(([caseName, { file, image, prompts }]) =>
    Object.entries(generation[caseName]?.runs ?? {}).flatMap(([runName, run]) =>
      run.stable && run.generate_kwargs.eos_token_id === undefined && optionsOf(run) && prompts
        ? [{ caseName, runName, file, image, run, prompt: prompts }]
        : [],
    ),
  );
  it('has recorded runs', () => expect(runs.length).toBeGreaterThan(0));
  it.each(runs)('writes the words of $caseName, $runName', async ({ file, run, prompt }) => {
    const fixture = await readFixture(`outputs/${name}/${file}`);
    const pixelValues = take(fixture, 'in.pixel_values') as Value<'float32'>;
    const written = await model.caption(pixelValues, { ...optionsOf(run), prompt });
    expect(written.map(({ text }) => text)).toEqual(run.decoded.map((text) => text.trim()));
  });
  const fromFiles = runs.filter(({ image }) => image?.endsWith('.png')); // JPEG decoders differ
  it.each(fromFiles)('writes the words of $caseName, $runName, from $image', async ({ image, run, prompt }) => {
    const written = await model.caption([goldenPath(`images/${image}`)], { ...optionsOf(run), prompt });
    expect(written.map(({ text }) => text)).toEqual(run.decoded.map((text) => text.trim()));
    if (run.generate_kwargs.num_beams !== 1) return;
    const answered = await model.answer(goldenPath(`images/${image}`), prompt[0]!, { ...optionsOf(run), raw: true });
    expect(answered.text).toBe(written[0]!.text);
  });

  const template = templates[name];
  it.runIf(template)('asks in the words that the model was evaluated with', async () => {
    const image = goldenPath(`images/${(await readdir(goldenPath('images'))).find((file) => file.endsWith('.png'))}`);
    const [question, options] = ['what is this?', { maxNewTokens: 4 }];
    const asked = await model.answer(image, question, options);
    expect(asked).toEqual(await model.answer(image, template!.replace('{}', question), { ...options, raw: true }));
  });

  it.each([
    ['greedily', {}],
    ['with beams', { numBeams: 3 }],
    ['with penalties', { repetitionPenalty: 1.5, noRepeatNgramSize: 2 }],
  ])('writes %s for 8 images and prompts together what it writes for each', async (_, how) => {
    const pictures = (await readdir(goldenPath('images'))).filter((file) => /\.(png|jpg|gif|webp)$/.test(file));
    const images = Array.from({ length: 8 }, (_, i) => goldenPath(`images/${pictures[i % pictures.length]}`));
    const prompt = images.map((_, i) => known[i % known.length]!);
    const options = { maxNewTokens: 10, ...how };
    const together = await model.caption(images, { ...options, prompt });
    for (const [i, image] of images.entries()) {
      const [alone] = await model.caption([image], { ...options, prompt: prompt[i] });
      expect(together[i]!.text, image).toBe(alone!.text);
      expect(together[i]!.score, image).toBeCloseTo(alone!.score, 4);
    }
    await expect(model.caption(images, { prompt: ['one'] })).rejects.toThrow(UsageError);
  });
});

/** transformers' arguments as options; undefined where a caption has no such option. */
function optionsOf({ generate_kwargs: kwargs }: Run): CaptionOptions | undefined {
  const known: Record<string, keyof CaptionOptions> = {
    max_new_tokens: 'maxNewTokens',
    min_new_tokens: 'minNewTokens',
    num_beams: 'numBeams',
    num_return_sequences: 'numReturnSequences',
    early_stopping: 'earlyStopping',
    length_penalty: 'lengthPenalty',
    repetition_penalty: 'repetitionPenalty',
    no_repeat_ngram_size: 'noRepeatNgramSize',
  };
  const entries = Object.entries(kwargs).map(([key, n]) => [known[key], n] as const);
  return entries.every(([key]) => key) ? Object.fromEntries(entries) : undefined;
}

async function expectTensors(
  model: Blip2,
  fixture: Awaited<ReturnType<typeof readFixture>>,
  prompt: string | undefined,
) {
  const found = await model.trace({ image: take(fixture, 'in.pixel_values') as Value<'float32'>, text: prompt });
  for (const [ours, theirs] of [
    ['vision.last_hidden_state', 'out.vision_last_hidden_state'],
    ['qformer.last_hidden_state', 'out.qformer_query_output'],
    ['language_projection', 'out.language_projection'],
    ['logits', 'out.logits'],
  ] as const) {
    const actual = take(found, ours);
    expect(relativeError(actual, firstRows(take(fixture, theirs), actual)), theirs).toBeLessThan(tolerances.forward);
  }
}

describe('a checkpoint in shards of bfloat16', async () => {
  const { cases, other = {} } = await readJson<Cases>('outputs/blip2-opt/cases.json');
  it.each(Object.values(other))('gives the tensors of $file', async ({ file, checkpoint }) => {
    // The set keeps its tokenizer beside the other precision's weights.
    const folder = await mkdtemp(join(tmpdir(), 'blip2-'));
    const from = async (source: string, wanted: (name: string) => boolean) => {
      for (const each of await readdir(goldenPath(source))) {
        if (wanted(each)) await symlink(goldenPath(join(source, each)), join(folder, each));
      }
    };
    await from(`checkpoints/${checkpoint}`, () => true);
    await from('checkpoints/blip2-opt', (each) => /token|vocab|merges|preprocessor/.test(each));
    try {
      const model = await Blip2.fromPretrained(folder);
      const prompt = Object.values(cases).find(({ prompts }) => prompts?.length === 1)!.prompts![0];
      await expectTensors(model, await readFixture(`outputs/blip2-opt/${file}`), prompt);
      await model.release();
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe("the Q-Former as a caption's writer", async () => {
  const stageOne = await readJson<StageOneNames>('stage1/names.json');
  const lavis = lavisStageOne(stageOne);
  const state = lavis.toHf(await readFixture('stage1/weights_lavis.safetensors'));
  const weights = weightsFrom(state);
  const config = parseBlip2Config(lavis.config(state));
  const inputs = await readFixture('stage1/inputs.safetensors');
  const expected = take(await readFixture('stage1/forward.safetensors'), 'lm_logits');

  it.each([1, 4])('gives the logits of ITG one token after another, %i at first', async (first) => {
    const width = config.qformer_config.encoder_hidden_size;
    const sizes = { width, patchSize: 1, imageSize: 1, prefixTokens: 1, positions: { name: '', alignCorners: false } };
    const encoder = { ...sizes, encode: (_: Params, x: never) => x };
    const parts = { config, encoder, heads: { retrieval: false, writing: true }, language: undefined };
    const queries = await compile(queriesGraph(new Params(), parts), weights);
    const { queries: _, ...past } = await queries.run({ image_embeds: take(inputs, 'image_embeds') });
    const writer = await compileLanguageModel(captionWriter(config), { weights });
    const [batch, length, vocabulary] = expected.shape as [number, number, number];
    const ids = toNumbers(take(inputs, 'decoder_input_ids'));
    const lengths = lengthsOf(toNumbers(take(inputs, 'attention_mask')), length);
    const start = int64s(
      [batch, first],
      ids.filter((_, i) => i % length < first),
    );
    const attentionMask = int64s([batch, first], new Array<number>(batch * first).fill(1));
    const decoding = await writer.prefill({ past, inputIds: start, attentionMask }, { copies: 1 });
    for (let t = first; t <= Math.max(...lengths); t++) {
      for (let b = 0; b < batch; b++) {
        if (t > lengths[b]!) continue;
        const row = (b * length + t - 1) * vocabulary;
        const target = toFloat32(expected).subarray(row, row + vocabulary);
        expect(relativeError(decoding.scores(b), target), `text ${b}, token ${t}`).toBeLessThan(tolerances.forward);
      }
      if (t < length) await decoding.step(Array.from({ length: batch }, (_, b) => ids[b * length + t]!));
    }
    await queries.release();
    await writer.release();
  });

  function lengthsOf(mask: readonly number[], length: number): number[] {
    const batch = mask.length / length;
    return Array.from({ length: batch }, (_, b) => mask.slice(b * length, (b + 1) * length).reduce((a, x) => a + x, 0));
  }
});
