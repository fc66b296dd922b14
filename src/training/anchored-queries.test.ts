import { expect, it } from 'vitest';
import { parseBlip2Config, readImage } from '../blip2/index.ts';
import { elements, floats, random, toFloat32, UsageError, type Value } from '../core/index.ts';
import { input } from '../graph/index.ts';
import { imageMemory } from '../models/index.ts';
import { Params } from '../nn/index.ts';
import { compile, weightsFrom } from '../runtime/index.ts';
import { anchorQueries } from './anchored-queries.ts';

const side = 5;
const patches = 1 + side * side;
const width = 12;
const heads = 4;
const queries = 9;
const config = parseBlip2Config({
  num_query_tokens: queries,
  qformer_config: {
    hidden_size: 24,
    num_hidden_layers: 3,
    num_attention_heads: heads,
    intermediate_size: 32,
    encoder_hidden_size: width,
    vocab_size: 10,
  },
});

/** The cross-attention of each layer, and the Q-Former that it is of. */
function lookingGraph() {
  const p = new Params();
  const memory = imageMemory(p.at('qformer'), input('image', 'float32', ['batch', patches, width]), {
    config: config.qformer_config,
  });
  const [first, second] = readImage(p, memory, config).crossAttention;
  return { outputs: { first: first!.weights, second: second!.weights }, declared: p.declared };
}

const { outputs, declared } = lookingGraph();
const draws = random(3, 'anchored queries test');
const normal = (shape: number[], scale: number) =>
  floats(
    shape,
    Float32Array.from({ length: elements(shape) }, () => scale * draws.normal()),
  );
const weights = new Map([...declared].map(([name, { shape }]) => [name, normal(shape.map(Number), 0.3)]));

/** The place of each patch, the middle of the picture at 0. */
const places = Array.from({ length: side * side }, (_, i) => [
  (2 * ((i % side) + 0.5)) / side - 1,
  (2 * (Math.floor(i / side) + 0.5)) / side - 1,
]) as [number, number][];

/** Pictures whose features say, besides what is in them, where they come from; the class token is far from all of them. */
function pictures(count: number): Value<'float32'> {
  const features = normal([count, patches, width], 1);
  for (let n = 0; n < count; n++) {
    for (let token = 0; token < patches; token++) {
      const [x, y] = places[token - 1] ?? [0, 0];
      const at = (n * patches + token) * width;
      features.data.set([x, y, token === 0 ? 3 : x * x + y * y], at);
    }
  }
  return features;
}

const mean = (x: readonly number[]) => x.reduce((a, b) => a + b) / x.length;

const anchorsX = [-2 / 3, 0, 2 / 3];
const anchorOf = (query: number) => [anchorsX[query % 3]!, anchorsX[Math.floor(query / 3)]!] as const;

it('makes half of the heads look by a Gaussian around a place of the query, whatever the picture', async () => {
  const anchored = await anchorQueries({ config, trained: weights, features: pictures(200), prefixTokens: 1 });
  const session = await compile(outputs, weightsFrom(anchored));
  const seen = await session.run({ image: pictures(2) });
  const sigma = (0.7 * 2) / 3;
  const expected = Array.from({ length: queries }, (_, query) => {
    const [ax, ay] = anchorOf(query);
    const mass = places.map(([x, y]) => Math.exp(-((x - ax) ** 2 + (y - ay) ** 2) / (2 * sigma ** 2)));
    const total = mass.reduce((a, b) => a + b);
    return [0, ...mass.map((m) => m / total)];
  });
  const first = toFloat32(seen.first);
  const of = (data: Float32Array, picture: number, head: number, query: number) =>
    data.subarray(...[0, 1].map((end) => ((picture * heads + head) * queries + query + end) * patches));
  for (const picture of [0, 1]) {
    for (const head of [0, 1]) {
      for (const [query, gaussian] of expected.entries()) {
        for (const [token, share] of of(first, picture, head, query).entries()) {
          expect(share).toBeCloseTo(gaussian[token]!, 1.5);
        }
      }
    }
  }
  // Later layers ask with states that depend on the picture: there a query looks nearer to its own place than to others'.
  const second = toFloat32(seen.second);
  const distances = Array.from({ length: queries }, (_, query) => {
    const shares = of(second, 0, 0, query);
    const centre = [0, 1].map((axis) => places.reduce((sum, p, i) => sum + shares[i + 1]! * p[axis]!, 0));
    return Array.from({ length: queries }, (__, other) =>
      Math.hypot(centre[0]! - anchorOf(other)[0], centre[1]! - anchorOf(other)[1]),
    );
  });
  const own = mean(distances.map((to, query) => to[query]!));
  const others = mean(distances.flatMap((to, query) => to.filter((_, other) => other !== query)));
  expect(own).toBeLessThan(0.75 * others);
  await session.release();
});

it('changes half of the heads of the cross-attention, and what they ask with alone', async () => {
  const anchored = await anchorQueries({ config, trained: weights, features: pictures(60), prefixTokens: 1 });
  const changed = [...weights].filter(([name, v]) => anchored.get(name) !== v).map(([name]) => name);
  const layers = [0, 2].map((layer) => `qformer.encoder.layer.${layer}.crossattention.attention`);
  const expected = layers.flatMap((name) =>
    ['key', 'query'].flatMap((part) => [`${name}.${part}.weight`, `${name}.${part}.bias`]),
  );
  expect(changed.sort()).toEqual(expected.sort());
  for (const name of changed) {
    const [before, after] = [toFloat32(weights.get(name)!), toFloat32(anchored.get(name)!)];
    const half = before.length / 2;
    expect(after.subarray(half)).toEqual(before.subarray(half));
    expect(after.subarray(0, half)).not.toEqual(before.subarray(0, half));
  }
});

it('refuses patches that are no square, and heads that have no room for a place', async () => {
  const inputs = { config, trained: weights, features: pictures(2), prefixTokens: 1 };
  await expect(anchorQueries({ ...inputs, prefixTokens: 3 })).rejects.toThrow(/square picture, found 23/);
  const narrow = { ...config, qformer_config: { ...config.qformer_config, num_attention_heads: 12 } };
  await expect(anchorQueries({ ...inputs, config: narrow })).rejects.toThrow(UsageError);
});
