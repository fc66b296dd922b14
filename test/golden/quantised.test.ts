/** Whole models with quantised layers, against the reference's floats: near, by how much is stated here. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toNumbers, type Value } from '../../src/core/index.ts';
import { exists } from '../../src/hub/index.ts';
import { Blip2, writeQuantised } from '../../src/pipelines/index.ts';
import { goldenPath, hasFixture, readFixture, readJson, take } from './fixtures.ts';

/**
 * ‖ours − theirs‖ / ‖theirs‖ in int8. The sets' models are narrow and their weights random, so that rounding is averaged
 * over few weights and the logits of a random decoder amplify it; a packing that is wrong is off by 1.
 */
const tolerances = { encoder: 0.05, logits: 0.15 };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-quantised-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** A set's checkpoint in int8: its layers count as large. */
async function inInt8(name: string): Promise<Blip2> {
  const to = join(folder, name);
  if (!(await exists(to))) await writeQuantised(goldenPath(`checkpoints/${name}`), to, 'int8', { largeFrom: 1 });
  return Blip2.fromPretrained(to);
}

/** Over the entries of `actual`, which may be the first of those expected. */
function distance(actual: Value, expected: Value): number {
  const [x, y] = [toNumbers(actual), toNumbers(expected)];
  const moved = x.reduce((sum, v, i) => sum + (v - y[i]!) ** 2, 0);
  return Math.sqrt(moved / x.reduce((sum, _, i) => sum + y[i]! ** 2, 0));
}

interface Cases {
  readonly cases: Readonly<Record<string, { readonly file: string; readonly prompts?: readonly string[] }>>;
}

const writing = ['blip2-opt', 'blip2-t5'].filter((name) => hasFixture(`checkpoints/${name}/config.json`));
describe.each(writing)('%s in int8', async (name) => {
  const { cases } = await readJson<Cases>(`outputs/${name}/cases.json`);
  const single = Object.entries(cases).filter(([, { prompts }]) => prompts?.length === 1);
  it('has cases', () => expect(single.length).toBeGreaterThan(0));
  it.each(single)('is near the tensors of %s', async (_, { file, prompts }) => {
    const fixture = await readFixture(`outputs/${name}/${file}`);
    const model = await inInt8(name);
    const image = take(fixture, 'in.pixel_values') as Value<'float32'>;
    const found = await model.trace({ image, text: prompts![0] });
    await model.release();
    for (const [ours, theirs, tolerance] of [
      ['vision.last_hidden_state', 'out.vision_last_hidden_state', tolerances.encoder],
      ['qformer.last_hidden_state', 'out.qformer_query_output', tolerances.encoder],
      ['language_projection', 'out.language_projection', tolerances.encoder],
      ['logits', 'out.logits', tolerances.logits],
    ] as const) {
      const error = distance(take(found, ours), take(fixture, theirs));
      expect(error, ours).toBeLessThan(tolerance);
      expect(error, ours).toBeGreaterThan(1e-5); // it was quantised
    }
  });
});

describe.runIf(hasFixture('checkpoints/blip2-itm/config.json'))('blip2-itm in int8', () => {
  it('is near the embeddings of images', async () => {
    const fixture = await readFixture('outputs/blip2-itm/batch.safetensors');
    const model = await inInt8('blip2-itm');
    const found = await model.embed({ images: take(fixture, 'in.pixel_values') as Value<'float32'> });
    await model.release();
    for (const [ours, theirs] of [
      [found.image_embeds, 'out.qformer_query_output'],
      [found.image_embeds_proj, 'out.image_embeds'],
    ] as const) {
      expect(distance(ours!, take(fixture, theirs)), theirs).toBeLessThan(tolerances.encoder);
    }
  });
});
