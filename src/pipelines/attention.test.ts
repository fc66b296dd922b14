import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { writeRandomModel } from '../../test/random-model.ts';
import { parseBlip2Config } from '../blip2/index.ts';
import { random, toFloat32, type Value } from '../core/index.ts';
import { Checkpoint } from '../hub/index.ts';
import { Params } from '../nn/index.ts';
import { compile, weightsFrom } from '../runtime/index.ts';
import { attentionGraph } from './graphs.ts';
import { Blip2 } from './index.ts';

/** The sums over the last axis. */
const rowSums = ({ shape, data }: Value<'float32'>): number[] => {
  const width = shape.at(-1)!;
  const rows = Array.from({ length: data.length / width }, (_, i) => data.subarray(i * width, (i + 1) * width));
  return rows.map((row) => row.reduce((sum, x) => sum + x, 0));
};

it('is the cross-attention of transformers', async () => {
  const file = fileURLToPath(new URL('../models/testdata/qformer-attention.safetensors', import.meta.url));
  const checkpoint = await Checkpoint.open(file);
  const fixture = await checkpoint.readAll();
  const [expected, image] = [fixture['out.cross_attention']!, fixture['in.image_embeds']!];
  const config = parseBlip2Config({
    num_query_tokens: fixture.query_tokens!.shape[1],
    qformer_config: JSON.parse(checkpoint.metadata.qformer_config!),
  });
  const sizes = {
    width: image.shape[2]!,
    patchSize: 1,
    imageSize: 1,
    prefixTokens: 1,
    positions: { name: '', alignCorners: false },
  };
  const encoder = { ...sizes, encode: (_: Params, x: never) => x };
  const parts = { config, encoder, heads: { retrieval: false, writing: false }, language: undefined };
  const session = await compile(attentionGraph(new Params(), parts), weightsFrom(new Map(Object.entries(fixture))));
  const { cross_attention: ours } = await session.run({ image_embeds: image });
  expect(ours.shape).toEqual(expected.shape);
  const theirs = toFloat32(expected);
  expect(Math.max(...toFloat32(ours).map((x, i) => Math.abs(x - theirs[i]!)))).toBeLessThan(2e-5);
  await session.release();
});

it('says of a picture where each query looks, as probabilities', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'blip2-attention-'));
  await writeRandomModel(folder);
  const model = await Blip2.fromPretrained(folder);
  const noise = (seed: number) => {
    const draws = random(seed, 'picture');
    const data = Uint8Array.from({ length: 28 * 28 * 3 }, () => draws.below(256));
    return { width: 28, height: 28, channels: 3, data } as const;
  };
  const seen = await model.attention(noise(1));
  const { qformer_config: c, num_query_tokens: queries } = model.files.config;
  const layers = Math.ceil(c.num_hidden_layers / c.cross_attention_frequency);
  expect(seen.shape).toEqual([layers, c.num_attention_heads, queries, (await model.featureSpace()).patches]);
  for (const sum of rowSums(seen)) expect(sum).toBeCloseTo(1, 5);
  expect((await model.attention(noise(2))).data).not.toEqual(seen.data);
  await model.release();
  await rm(folder, { recursive: true });
});
