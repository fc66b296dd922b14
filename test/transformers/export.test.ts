/** What `export` writes, loaded in transformers: the same keys, the same token ids, the same scores. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { floats, toFloat32, type Value } from '../../src/core/index.ts';
import { generate } from '../../src/generation/index.ts';
import { Checkpoint, writeSafetensors } from '../../src/hub/index.ts';
import { Blip2, exportModel } from '../../src/pipelines/index.ts';
import { openModel } from '../../src/pipelines/model-files.ts';
import { readQueries } from '../../src/pipelines/queries.ts';
import { Sessions } from '../../src/pipelines/sessions.ts';
import { encodePrompts } from '../../src/pipelines/write.ts';
import { goldenPath, hasFixture } from '../golden/fixtures.ts';
import { writeInstructBlipT5 } from './instructblip-t5.ts';
import { pythonHas, runPython } from './python.ts';
import { writeTrainedModels } from './trained-models.ts';

interface Loaded {
  readonly info: Readonly<Record<string, readonly string[]>>;
  /** By text: new token ids, or the cosine and the probability of a match. */
  readonly rows: readonly (readonly number[])[];
}

const texts = ['a photo of', 'a red cat', 'dog'];
const newTokens = 8;
const script = fileURLToPath(new URL('load.py', import.meta.url));

const checkpoints = ['blip2-itm', 'blip2-opt', 'blip2-t5', 'instructblip-vicuna'].filter((name) =>
  hasFixture(`checkpoints/${name}/config.json`),
);
const names = [...checkpoints, 'instructblip-t5', 'stage1', 'stage2'];

describe.skipIf(!pythonHas('transformers', 'torch', 'PIL') || checkpoints.length === 0)('transformers loads', () => {
  let folder: string;
  let made: Readonly<Record<string, string>>;
  let loaded: Map<string, Loaded>;
  const source = (name: string) => made[name] ?? goldenPath(`checkpoints/${name}`);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'blip2-export-'));
    made = {
      ...(await writeTrainedModels(folder)),
      'instructblip-t5': await writeInstructBlipT5(join(folder, 'made-instructblip-t5')),
    };
    const jobs = [];
    for (const name of names) {
      const remarks = await exportModel(source(name), join(folder, name));
      expect(remarks.join(), name).toMatch(name.startsWith('stage') ? /temp, cls|temp, itm_head, cls/ : /^$/);
      const { language, processor } = await openModel(source(name));
      const pixels = join(folder, `${name}.safetensors`);
      await writeSafetensors(pixels, { pixels: gradient(texts.length, processor.size.width) });
      jobs.push({
        folder: join(folder, name),
        pixels,
        tensor: 'pixels',
        texts,
        generate: language && { max_new_tokens: newTokens, num_beams: 2, min_new_tokens: newTokens },
      });
    }
    const results: Loaded[] = JSON.parse(runPython([script], { input: JSON.stringify(jobs) }));
    loaded = new Map(names.map((name, i) => [name, results[i]!]));
  }, 600_000);
  afterAll(() => rm(folder, { recursive: true }));

  it.each(names)('%s with no missing and no unexpected key', (name) => {
    const { info } = loaded.get(name)!;
    expect(info).toEqual({ missing_keys: [], unexpected_keys: [], mismatched_keys: [], error_msgs: [] });
  });

  it.each(names)('%s and writes or scores what we do', async (name) => {
    const { rows } = loaded.get(name)!;
    const pixels = await (await Checkpoint.open(join(folder, `${name}.safetensors`))).read('pixels');
    for (const from of [source(name), join(folder, name)]) {
      const { language } = await openModel(from);
      if (language) expect(await writtenIds(from, pixels), from).toEqual(rows);
      else {
        const scores = (await matches(from, pixels)).flat();
        for (const [i, x] of rows.flat().entries()) expect(scores[i], from).toBeCloseTo(x, 4);
      }
    }
  });
});

/** Pictures that are a gradient each: [n, 3, size, size]. */
function gradient(n: number, size: number): Value<'float32'> {
  const pixels = 3 * size * size;
  return floats(
    [n, 3, size, size],
    Float32Array.from({ length: n * pixels }, (_, i) => Math.sin(i * (1 + Math.floor(i / pixels)))),
  );
}

async function writtenIds(folder: string, pixels: Value): Promise<(readonly number[])[]> {
  const sessions = new Sessions(await openModel(folder), {});
  const [, , height, width] = pixels.shape as [number, number, number, number];
  const { image_embeds } = await (await sessions.vision({ height, width })).run({ pixel_values: pixels });
  const { language_projection } = await readQueries(sessions, image_embeds, texts);
  const prompt = { softPrompts: language_projection as Value<'float32'>, ...encodePrompts(sessions.language(), texts) };
  const { endTokens: eosTokenId } = sessions.language();
  const options = { maxNewTokens: newTokens, minNewTokens: newTokens, numBeams: 2, eosTokenId };
  const written = await generate(await sessions.languageModel(), prompt, options);
  await sessions.release();
  return written.map(([best]) => best!.tokens);
}

/** Each text with the picture of its place. */
async function matches(folder: string, pixels: Value): Promise<number[][]> {
  const model = await Blip2.fromPretrained(folder);
  const [, ...rest] = pixels.shape as [number, ...number[]];
  const size = pixels.data.length / texts.length;
  const scores: number[][] = [];
  for (const [i, text] of texts.entries()) {
    const picture = floats([1, ...rest], toFloat32(pixels).subarray(i * size, (i + 1) * size));
    const [found] = await model.match(picture, [text]);
    scores.push([found!.itc, found!.itm]);
  }
  await model.release();
  return scores;
}
