/** Image-text retrieval against transformers (outputs/blip2-itm) and LAVIS (stage1/features, stage1/rerank). */
import { describe, expect, it } from 'vitest';
import { parseBlip2Config } from '../../src/blip2/index.ts';
import { floats, int64s, toFloat32, toNumbers, type Value } from '../../src/core/index.ts';
import { Params } from '../../src/nn/index.ts';
import { type Graph, type Parts, pairsGraph, queriesGraph, textsGraph } from '../../src/pipelines/graphs.ts';
import { Blip2 } from '../../src/pipelines/index.ts';
import { bestQueryCosines, firstTokens } from '../../src/pipelines/match.ts';
import { openModel } from '../../src/pipelines/model-files.ts';
import { Sessions } from '../../src/pipelines/sessions.ts';
import { compile, weightsFrom } from '../../src/runtime/index.ts';
import {
  absoluteError,
  type Fixture,
  goldenPath,
  readFixture,
  readJson,
  relativeError,
  take,
  tolerances,
} from './fixtures.ts';
import { lavisStageOne, type StageOneNames } from './stage-one-names.ts';

/** Rows [from, to) of a value's first axis. */
function rows(v: Value, from: number, to: number): Value<'float32'> {
  const width = v.data.length / v.shape[0]!;
  return floats([to - from, ...v.shape.slice(1)], toFloat32(v).subarray(from * width, to * width));
}
const asInt64 = (v: Value): Value => int64s(v.shape, toNumbers(v));
const numbersTo = (n: number): number[] => [...Array(n).keys()];

describe('a retrieval checkpoint of transformers', async () => {
  const folder = goldenPath('checkpoints/blip2-itm');
  const fixture = await readFixture('outputs/blip2-itm/batch.safetensors');
  const { texts } = await readJson<{ texts: string[] }>('outputs/blip2-itm/cases.json');
  const pixelValues = take(fixture, 'in.pixel_values') as Value<'float32'>;
  const images = numbersTo(pixelValues.shape[0]!);
  const expectNear = (actual: Value | ArrayLike<number>, name: string) =>
    expect(relativeError(actual, take(fixture, name)), name).toBeLessThan(tolerances.forward);

  it('gives the embeddings of images, texts and pairs', async () => {
    const model = await Blip2.fromPretrained(folder);
    const found = await model.embed({ images: pixelValues, texts });
    expectNear(found.image_embeds!, 'out.qformer_query_output');
    expectNear(found.image_embeds_proj!, 'out.image_embeds');
    expectNear(maskedRows(found.text_embeds!, found.text_attention_mask!), 'out.text_last_hidden_state');
    expectNear(Float32Array.from(firstTokens(found.text_embeds_proj!).flatMap((z) => [...z])), 'out.text_embeds');
    // The reference's sequence is queries, then text.
    const { shape, data } = take(fixture, 'out.itm_qformer_last_hidden_state');
    const [, sequence, width] = shape as [number, number, number];
    const queries = found.multimodal_embeds!.shape[1]!;
    const reference = Array.from(data as Float32Array).filter((_, i) => Math.floor(i / width) % sequence < queries);
    expect(relativeError(found.multimodal_embeds!, reference)).toBeLessThan(tolerances.forward);
    await model.release();

    /** Padding is not compared: zero on both sides. */
    function maskedRows(states: Value, mask: Value): Value {
      const D = states.shape[2]!;
      const keep = toNumbers(mask);
      const target = toFloat32(take(fixture, 'out.text_last_hidden_state'));
      const kept = toFloat32(states).map((x, i) => (keep[Math.floor(i / D)] === 1 ? x : target[i]!));
      return floats(states.shape, kept);
    }
  });

  it('scores every image with every text', async () => {
    const model = await Blip2.fromPretrained(folder);
    const matches = await Promise.all(images.map((i) => model.match(rows(pixelValues, i, i + 1), texts)));
    expectNear(Float32Array.from(matches.flat().map(({ itc }) => itc)), 'out.itc_logits_per_image');
    const probabilities = toFloat32(take(fixture, 'out.itm_probs_all_pairs')).filter((_, i) => i % 2 === 1);
    const ours = matches.flat().map(({ itm }) => itm);
    expect(relativeError(ours, probabilities)).toBeLessThan(tolerances.forward);
    await model.release();
  });

  it('gives the logits of every query', async () => {
    const sessions = new Sessions(await openModel(folder), {});
    const vision = await sessions.vision({ height: pixelValues.shape[2]!, width: pixelValues.shape[3]! });
    const { image_embeds } = await vision.run({ pixel_values: pixelValues });
    expectNear(image_embeds, 'out.vision_last_hidden_state');
    const found = await (await sessions.pairs()).run({
      image_embeds,
      image_rows: int64s([images.length], images),
      ...textFeeds(fixture, texts.length),
    });
    expectNear(found.itm_logits, 'out.itm_logits_per_image');
    expectNear(found.itm_logits_per_query, 'out.itm_logits_per_query');
    await sessions.release();

    /** The fixture's own ids, less the image tokens, which stand for the queries. */
    function textFeeds(f: Fixture, batch: number) {
      const queries = sessions.files.config.num_query_tokens;
      const text = (name: string) => {
        const v = take(f, name);
        const length = v.shape[1]!;
        const kept = toNumbers(v).filter((_, i) => i % length >= queries);
        return int64s([batch, length - queries], kept);
      };
      return { input_ids: text('in.input_ids'), attention_mask: text('in.attention_mask') };
    }
  });
});

describe('the stage-1 model of LAVIS', async () => {
  const names = await readJson<StageOneNames>('stage1/names.json');
  const lavis = lavisStageOne(names);
  const weights = lavis.toHf(await readFixture('stage1/weights_lavis.safetensors'));
  const config = parseBlip2Config(lavis.config(weights));
  const parts: Parts = {
    config,
    encoder: {
      ...{ width: config.qformer_config.encoder_hidden_size, patchSize: 1, imageSize: 1 },
      prefixTokens: 1,
      positions: { name: '', alignCorners: false },
      encode: (_, x) => x,
    },
    heads: { retrieval: true, writing: false },
    language: undefined,
  };
  const run = async <O extends string>(graph: Graph<O>, feeds: Record<string, Value>): Promise<Record<O, Value>> => {
    const session = await compile(graph, weightsFrom(weights));
    const results = await session.run(feeds);
    await session.release();
    return results;
  };
  const textsOf = (f: Fixture) => ({
    input_ids: asInt64(take(f, 'in.input_ids')),
    attention_mask: asInt64(take(f, 'in.attention_mask')),
  });

  it('extracts the same features', async () => {
    const fixture = await readFixture('stage1/features.safetensors');
    const image_embeds = take(fixture, 'in.image_embeds');
    const text = textsOf(fixture);
    const image_rows = int64s([image_embeds.shape[0]!], numbersTo(image_embeds.shape[0]!));
    const found: Record<string, Value> = {
      ...(await run(textsGraph(new Params(), parts), text)),
      ...(await run(pairsGraph(new Params(), parts), { ...text, image_embeds, image_rows })),
      ...(await run(queriesGraph(new Params(), parts), { image_embeds })),
    };
    for (const [ours, theirs] of [
      ['queries', 'image_embeds'],
      ['image_embeds_proj', 'image_embeds_proj'],
      ['text_embeds', 'text_embeds'],
      ['text_embeds_proj', 'text_embeds_proj'],
      ['multimodal_embeds', 'multimodal_embeds'],
    ] as const) {
      expect(relativeError(take(found, ours), take(fixture, `out.${theirs}`)), theirs).toBeLessThan(tolerances.forward);
    }
  });

  it('ranks its best candidates again as compute_sim_matrix does', async () => {
    const fixture = await readFixture('stage1/rerank.safetensors');
    const image_embeds = take(fixture, 'in.image_embeds');
    const text = textsOf(fixture);
    const [images, texts] = [image_embeds.shape[0]!, text.input_ids.shape[0]!];
    const { image_embeds_proj } = await run(queriesGraph(new Params(), parts), { image_embeds });
    const { text_embeds_proj } = await run(textsGraph(new Params(), parts), text);
    const zTexts = firstTokens(text_embeds_proj);
    const itc = numbersTo(images).map((i) => bestQueryCosines(rows(image_embeds_proj!, i, i + 1), zTexts));
    const pairs = await compile(pairsGraph(new Params(), parts), weightsFrom(weights));
    const scores = await Promise.all(
      numbersTo(images).map(async (i) => {
        const image_rows = int64s([texts], new Array<number>(texts).fill(i));
        const { itm_logits } = await pairs.run({ ...text, image_embeds, image_rows });
        return numbersTo(texts).map((t) => toFloat32(itm_logits)[2 * t + 1]! + itc[i]![t]!);
      }),
    );
    const notRanked = -100;
    const compare = (matrix: Value, score: (row: number, column: number) => number) => {
      const columns = matrix.shape[1]!;
      const expected = toNumbers(matrix).map((x, at) => ({ x, row: Math.floor(at / columns), column: at % columns }));
      const ranked = expected.filter(({ x }) => x !== notRanked);
      expect(ranked.length).toBeGreaterThan(0);
      const ours = ranked.map(({ row, column }) => score(row, column));
      expect(
        absoluteError(
          ours,
          ranked.map(({ x }) => x),
        ),
      ).toBeLessThan(tolerances.forward * 2);
    };
    compare(take(fixture, 'out.score_matrix_i2t'), (image, t) => scores[image]![t]!);
    compare(take(fixture, 'out.score_matrix_t2i'), (t, image) => scores[image]![t]!);
    await pairs.release();
  });
});
