/** A batch in eight parts has the losses and gradients of the batch in one (float32: within 1e-5 of the largest). */
import { expect, it } from 'vitest';
import {
  contrastWhole,
  featuresOfPart,
  lossesOfPart,
  type StageOneOptions,
  stageOneInputs,
  stageOneLosses,
} from '../../src/blip2/index.ts';
import { elements, floats, int64s, random, toFloat32, toNumbers, type Value } from '../../src/core/index.ts';
import { differentiate, input, type Tensor } from '../../src/graph/index.ts';
import { Params } from '../../src/nn/index.ts';
import { compile } from '../../src/runtime/index.ts';
import { config, imageWidth, normal, randomBatch } from './small-stage-one.ts';

const [batch, parts, tokens, patches] = [16, 8, 6, 4];
const size = batch / parts;
const options: StageOneOptions = { decoderStart: 1, weights: { itc: 1, itm: 0.5, itg: 2 } };

const draws = random(11, 'parts');
const lengths = Array.from({ length: batch }, () => 2 + draws.below(tokens - 1));
const feeds = randomBatch(draws, { lengths, patches, tokens });

/** Rows of a value along its first axis. */
function rows({ shape, data, dtype }: Value, indices: readonly number[]): Value {
  const width = elements(shape.slice(1));
  const taken = indices.flatMap((i) => [...data.subarray(i * width, (i + 1) * width)]);
  const to = [indices.length, ...shape.slice(1)];
  return dtype === 'int64' ? int64s(to, taken.map(Number)) : floats(to, taken.map(Number));
}

async function run(
  outputs: Record<string, Tensor>,
  weights: ReadonlyMap<string, Value>,
  given: Record<string, Value>,
): Promise<Record<string, Value>> {
  const session = await compile<string>(outputs, (name) => weights.get(name));
  const results = await session.run(given);
  await session.release();
  return results;
}

const gradientsOf = (loss: Tensor, p: Params): Record<string, Tensor> => {
  const names = [...p.declared.keys()];
  const gradients = differentiate(loss, [...p.declared.values()]);
  return Object.fromEntries(names.map((name, i) => [`d ${name}`, gradients[i]!]));
};

it('has the gradients of the whole batch', async () => {
  const whole = new Params();
  const { loss, itc, itm, itg } = stageOneLosses(
    whole,
    stageOneInputs({ batch, patches, imageWidth, tokens }),
    config,
    options,
  );
  const weights = new Map(
    [...whole.declared].map(([name, t]) => [
      name,
      name === 'temp' ? floats([], [0.5]) : normal(draws, t.shape.map(Number), 0.3),
    ]),
  );
  const expected = await run({ loss, itc, itm, itg, ...gradientsOf(loss, whole) }, weights, feeds);

  // The features of every part, and ITC over all of them.
  const partInputs = stageOneInputs({ batch: size, patches, imageWidth, tokens });
  const first = { ...featuresOfPart(new Params(), partInputs, config, options) };
  const own = (part: number) => Array.from({ length: size }, (_, i) => part * size + i);
  const partFeeds = (part: number) => ({
    imageEmbeds: rows(feeds.imageEmbeds!, own(part)),
    inputIds: rows(feeds.inputIds!, own(part)),
    attentionMask: rows(feeds.attentionMask!, own(part)),
  });
  const features: Record<string, Value>[] = [];
  for (let part = 0; part < parts; part++) features.push(await run(first, weights, partFeeds(part)));
  const joined = (name: string) => {
    const [, ...rest] = features[0]![name]!.shape;
    return floats(
      [batch, ...rest],
      features.flatMap((f) => toNumbers(f[name]!)),
    );
  };
  const all = { zImage: joined('zImage'), zText: joined('zText') };
  const { negatives, gumbelText, gumbelImage, hardness } = stageOneInputs({ batch, patches, imageWidth, tokens });
  const contrast = contrastWhole(
    new Params(),
    {
      zImage: input('zImage', 'float32', all.zImage.shape),
      zText: input('zText', 'float32', all.zText.shape),
      ...{ negatives, gumbelText, gumbelImage, hardness },
    },
    options,
  );
  const told = await run({ ...contrast }, weights, {
    ...all,
    ...Object.fromEntries(['negatives', 'gumbelText', 'gumbelImage', 'hardness'].map((name) => [name, feeds[name]!])),
  });
  expect(toNumbers(told.itc!)[0]).toBeCloseTo(toNumbers(expected.itc!)[0]!, 5);

  // Every part again.
  const p = new Params();
  const part = {
    ...partInputs,
    negativeEmbeds: input('negativeEmbeds', 'float32', [size, patches, imageWidth]),
    negativeIds: input('negativeIds', 'int64', [size, tokens]),
    negativeMask: input('negativeMask', 'int64', [size, tokens]),
    dImage: input('dImage', 'float32', [size, ...all.zImage.shape.slice(1)]),
    dText: input('dText', 'float32', [size, ...all.zText.shape.slice(1)]),
    pairShare: input('pairShare', 'float32', []),
    tokenShare: input('tokenShare', 'float32', []),
  };
  const losses = lossesOfPart(p, part, config, options);
  const third = { loss: losses.loss, itm: losses.itm, itg: losses.itg, ...gradientsOf(losses.loss, p) };
  const written = lengths.map((length) => length - 1);
  const total = written.reduce((a, b) => a + b);
  const sums = new Map<string, Float64Array>();
  let [itmMean, itgMean] = [0, 0];
  for (let i = 0; i < parts; i++) {
    const drawn = (name: string) => toNumbers(rows(told[name]!, own(i)));
    const tokenShare = own(i).reduce((n, row) => n + written[row]!, 0) / total;
    const results = await run(third, weights, {
      ...partFeeds(i),
      negativeEmbeds: rows(feeds.imageEmbeds!, drawn('negativeImage')),
      negativeIds: rows(feeds.inputIds!, drawn('negativeText')),
      negativeMask: rows(feeds.attentionMask!, drawn('negativeText')),
      dImage: rows(told.dImage!, own(i)),
      dText: rows(told.dText!, own(i)),
      pairShare: floats([], [1 / parts]),
      tokenShare: floats([], [tokenShare]),
    });
    itmMean += toNumbers(results.itm!)[0]! / parts;
    itgMean += toNumbers(results.itg!)[0]! * tokenShare;
    for (const name of p.declared.keys()) {
      const g = toFloat32(results[`d ${name}`]!);
      const sum = sums.get(name) ?? new Float64Array(g.length);
      sums.set(
        name,
        sum.map((x, j) => x + g[j]!),
      );
    }
  }
  sums.set('temp', Float64Array.from(toNumbers(told.dTemperature!)));
  expect(itmMean).toBeCloseTo(toNumbers(expected.itm!)[0]!, 5);
  expect(itgMean).toBeCloseTo(toNumbers(expected.itg!)[0]!, 5);

  expect([...sums.keys()].sort()).toEqual([...whole.declared.keys()].sort());
  const largest = Math.max(...[...whole.declared.keys()].flatMap((n) => toNumbers(expected[`d ${n}`]!).map(Math.abs)));
  for (const [name, sum] of sums) {
    toNumbers(expected[`d ${name}`]!).forEach((g, j) => {
      expect(Math.abs(sum[j]! - g) / largest, name).toBeLessThan(1e-5);
    });
  }
});
