/** How time grows, from small to large, at a size that takes seconds. */

import { parseBlip2Config } from '../src/blip2/index.ts';
import { floats, random, type Value } from '../src/core/index.ts';
import { imageEncoder } from '../src/models/index.ts';
import { Params } from '../src/nn/index.ts';
import { queriesGraph } from '../src/pipelines/graphs.ts';
import { Blip2 } from '../src/pipelines/index.ts';
import { compile, type Weights } from '../src/runtime/index.ts';
import { type Claim, lessIsBetter, median, type Row, seconds } from './measure.ts';
import { randomCheckpoint, sizes } from './random-checkpoint.ts';
import { paper, randomStep } from './stage1-step.ts';

const threads = 2;
const rounds = 3;

/** What grows: a name, its values, the smallest first, and what is timed at each. */
interface Axis {
  readonly name: string;
  readonly values: readonly number[];
  /** The cost at a value, if it grew in proportion. Default: the value. */
  readonly proportional?: (value: number) => number;
  prepare(value: number): Promise<() => Promise<unknown>>;
}

export const growth: Claim = {
  description:
    'how time grows with tokens, beams, images, image size, queries, training batch; the peer: in proportion',
  async *run() {
    const model = await Blip2.fromPretrained(await randomCheckpoint(sizes.mid), { threads });
    for (const axis of [...inferenceAxes(model), queries, trainingBatch]) yield* measure(axis);
    await model.release();
  },
};

/** One row for each value. Its peer is what growth in proportion from the smallest would cost. */
async function* measure({ name, values, proportional = (value) => value, prepare }: Axis): AsyncGenerator<Row> {
  let smallest: number | undefined;
  for (const value of values) {
    const run = await prepare(value);
    await run();
    const times: number[] = [];
    for (let round = 0; round < rounds; round++) times.push(await seconds(run));
    const time = median(times);
    smallest ??= time;
    const inProportion = (smallest * proportional(value)) / proportional(values[0]!);
    yield lessIsBetter({ name: `growth-${name}-${value}`, unit: 's' }, time, inProportion);
  }
}

const draws = random(0, 'growth');
const fill = (shape: readonly number[], deviation = 1): Value<'float32'> => {
  const size = shape.reduce((product, d) => product * d, 1);
  return floats(
    shape,
    Float32Array.from({ length: size }, () => deviation * draws.normal()),
  );
};

/** Pictures for every round, drawn before it is timed: a model knows those that it has seen. */
function everNew(draw: () => Value<'float32'>): () => Value<'float32'> {
  const drawn = Array.from({ length: rounds + 1 }, draw);
  return () => drawn.pop()!;
}

function inferenceAxes(model: Blip2): Axis[] {
  const pictures = (n: number, side = 224) => fill([n, 3, side, side]);
  const caption = async ({ images = 1, tokens = 20, numBeams = 1 }) => {
    const next = everNew(() => pictures(images));
    const options = { prompt: 'a photo of', maxNewTokens: tokens, minNewTokens: tokens, numBeams };
    return () => model.caption(next(), options);
  };
  return [
    { name: 'tokens', values: [5, 10, 20, 40, 80], prepare: (tokens) => caption({ tokens }) },
    { name: 'beams', values: [1, 2, 4, 8], prepare: (numBeams) => caption({ numBeams }) },
    { name: 'images', values: [1, 2, 4, 8, 16], prepare: (images) => caption({ images }) },
    {
      name: 'image-size',
      values: [224, 364],
      proportional: (side) => side ** 2,
      async prepare(side) {
        const next = everNew(() => pictures(1, side));
        return () => model.encodeImages(next());
      },
    },
  ];
}

/** The Q-Former of the mid-size model on eight images. */
const queries: Axis = {
  name: 'queries',
  values: [8, 16, 32, 64],
  async prepare(count) {
    const json = { ...sizes.mid.config, num_query_tokens: count };
    const encoder = imageEncoder(json.vision_config);
    const p = new Params();
    const heads = { retrieval: false, writing: false };
    const graph = queriesGraph(p, { config: parseBlip2Config(json), encoder, heads, language: undefined });
    const weights: Weights = (name) => fill(p.declared.get(name)!.shape.map(Number), 0.02);
    const session = await compile(graph, weights, { threads });
    const features = { image_embeds: fill([8, 257, encoder.width]) };
    return () => session.run(features);
  },
};

/** A stage-1 step of a small Q-Former. */
const trainingBatch: Axis = {
  name: 'training-batch',
  values: [4, 8, 16, 32],
  prepare: (batch) =>
    randomStep({
      ...paper,
      batch,
      threads,
      num_hidden_layers: 4,
      hidden_size: 256,
      num_attention_heads: 4,
      intermediate_size: 1024,
      encoder_hidden_size: 384,
      vocab_size: 4000,
    }),
};
