import { expect, it } from 'vitest';
import { parseBlip2Config, type QueryPass, readImage } from '../blip2/index.ts';
import { elements, floats, random, toFloat32, type Value } from '../core/index.ts';
import { input } from '../graph/index.ts';
import { imageMemory } from '../models/index.ts';
import { Params } from '../nn/index.ts';
import { balanceQueries } from './balanced-queries.ts';
import { readStates } from './queries-on-pictures.ts';

const [patches, width] = [10, 12];
const config = parseBlip2Config({
  num_query_tokens: 4,
  qformer_config: {
    hidden_size: 24,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    intermediate_size: 32,
    encoder_hidden_size: width,
    vocab_size: 10,
  },
});

const draws = random(3, 'balanced queries test');
const normal = (shape: readonly number[], scale: number) =>
  floats(
    [...shape],
    Float32Array.from({ length: elements(shape) }, () => scale * draws.normal()),
  );
const p = new Params();
const memory = imageMemory(p.at('qformer'), input('image', 'float32', ['batch', patches, width]), {
  config: config.qformer_config,
});
readImage(p, memory, config);
const shapes = [...p.declared].map(([name, { shape }]) => [name, shape.map(Number)] as const);
const isNorm = (name: string) => /layernorm\.weight$/i.test(name);
const weightsOf = (scale: (name: string) => number): Map<string, Value> =>
  new Map(
    shapes.map(([name, shape]) => [
      name,
      isNorm(name) ? floats([...shape], new Float32Array(elements(shape)).fill(1)) : normal(shape, scale(name)),
    ]),
  );
const features = normal([40, patches, width], 1);

/** What is added to the queries, in the order of the layers. */
const branches: readonly ((pass: QueryPass) => QueryPass['queries'])[] = [
  (pass) => pass.crossAttention[0]!.added,
  (pass) => pass.fedForward[0]!,
  (pass) => pass.fedForward[1]!,
  (pass) => pass.crossAttention[1]!.added,
  (pass) => pass.fedForward[2]!,
];

/** The mean length of rows of 24, by their definition. */
function lengthOf({ data }: { readonly data: Float32Array }): number {
  const squares = Array.from({ length: data.length / 24 }, (_, row) =>
    data.subarray(row * 24, row * 24 + 24).reduce((sum, x) => sum + x * x, 0),
  );
  return squares.reduce((sum, square) => sum + Math.sqrt(square), 0) / squares.length;
}
const read = async (trained: ReadonlyMap<string, Value>, choose: (typeof branches)[number]) => ({
  data: toFloat32(await readStates({ config, trained, features }, choose)),
});
/** Projections that drown the queries. */
const loud = weightsOf((name) => (/(crossattention\.output|output_query)\.dense/.test(name) ? 20 : 0.3));

it('scales what layers add to the queries down to the length that these begin with', async () => {
  const start = lengthOf(await read(loud, (pass) => pass.embedded));
  const balanced = await balanceQueries({ config, trained: loud, features });
  for (const branch of branches) {
    expect(lengthOf(await read(loud, branch))).toBeGreaterThan(5 * start);
    expect(lengthOf(await read(balanced, branch))).toBeCloseTo(start, 4);
  }
  // The first says the same as before: nothing before it has changed.
  const [before, after] = [await read(loud, branches[0]!), await read(balanced, branches[0]!)];
  const factor = start / lengthOf(before);
  for (const [i, x] of after.data.entries()) expect(x).toBeCloseTo(factor * before.data[i]!, 4);
});

it('changes these projections alone, and none that adds less', async () => {
  const balanced = await balanceQueries({ config, trained: loud, features });
  const changed = [...loud].filter(([name, v]) => balanced.get(name) !== v).map(([name]) => name);
  const parts = [
    '0.crossattention.output',
    '0.output_query',
    '1.output_query',
    '2.crossattention.output',
    '2.output_query',
  ];
  const dense = (part: string) => `qformer.encoder.layer.${part}.dense`;
  expect(changed.sort()).toEqual(parts.flatMap((part) => [`${dense(part)}.bias`, `${dense(part)}.weight`]).sort());
  const quiet = weightsOf(() => 0.05);
  expect(await balanceQueries({ config, trained: quiet, features })).toEqual(quiet);
});
