import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { goldenPath } from '../../test/golden/fixtures.ts';
import { writeRandomModel } from '../../test/random-model.ts';
import { ConfigError, DataError, toFloat32, UsageError } from '../core/index.ts';
import { Checkpoint, writeSafetensors } from '../hub/index.ts';
import type { RawImage } from '../image/index.ts';
import { Blip2 } from './index.ts';

const picture = (seed: number): RawImage => ({
  width: 30,
  height: 20,
  channels: 4,
  data: Uint8Array.from({ length: 30 * 20 * 4 }, (_, i) => (i % 4 === 3 ? 255 : (i * 7 * seed + seed) % 256)),
});

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-pipelines-'));
  await writeRandomModel(join(folder, 'stage1'));
  await writeRandomModel(join(folder, 'stage1-int8'), { quantised: true });
  await writeRandomModel(join(folder, 'stage2'), { language: true });
});
afterAll(() => rm(folder, { recursive: true }));

describe('a model of stage 1', () => {
  it('captions, matches and embeds, and says so', async () => {
    const model = await Blip2.fromPretrained(join(folder, 'stage1'));
    expect(model.uses).toEqual(['caption', 'match', 'embed']);
    const captions = await model.caption([picture(1), picture(2)], { maxNewTokens: 6 });
    expect(captions.map(({ text }) => text.length > 0)).toEqual([true, true]);
    await expect(model.answer(picture(1), 'what is it?')).rejects.toThrow(ConfigError);
    await model.release();
  });

  it('asks for a list where plain JavaScript gives it one picture', async () => {
    const model = await Blip2.fromPretrained(join(folder, 'stage1'));
    // @ts-expect-error: the types ask for a list, too
    await expect(model.caption('apple.webp')).rejects.toThrow(UsageError);
    // @ts-expect-error
    await expect(model.caption(picture(1))).rejects.toThrow('expected a list of pictures or a tensor, got one picture');
    await model.release();
  });

  it('says in words what is wrong with images', async () => {
    const model = await Blip2.fromPretrained(join(folder, 'stage1'));
    const { width, height, data } = picture(1);
    const pixels = { width, height, channels: 4, data } as const;
    const url = new URL('https://example.com/a.png');
    await expect(model.caption([])).rejects.toThrow('images: expected at least one picture, found an empty list');
    await expect(model.encodeImages([])).rejects.toThrow(UsageError);
    await expect(model.caption([url])).rejects.toThrow('expected a file: URL, found https:');
    const short = { ...pixels, data: data.subarray(1) };
    await expect(model.caption([short])).rejects.toThrow('found 30 x 20 x 4 and 2399 bytes');
    // @ts-expect-error
    await expect(model.caption([{ ...pixels, channels: 1, data: data.subarray(600) }])).rejects.toThrow(UsageError);
    // @ts-expect-error
    await expect(model.caption([new ArrayBuffer(10)])).rejects.toThrow(
      'image: expected a path, a file: URL, bytes, or',
    );
    // @ts-expect-error
    await expect(model.match([pixels], ['a'])).rejects.toThrow('image: expected one picture, got a list');
    const two = await model.encodeImages([picture(1), picture(2)]);
    await expect(model.match(two, ['a'])).rejects.toThrow('image: expected one, a tensor [1, …], found [2, ');
    await expect(model.streamCaption(two).next()).rejects.toThrow(UsageError);
    for (const pair of [
      { image: 2, text: 0 },
      { image: 0, text: 1 },
      { image: -1, text: 0 },
      { image: 0.5, text: 0 },
    ]) {
      const refused = model.matchPairs(two, { texts: ['a'], pairs: [{ image: 0, text: 0 }, pair] });
      await expect(refused).rejects.toThrow(`found image ${pair.image} and text ${pair.text}`);
    }
    await model.release();
  });

  it('reads a file by its URL', async () => {
    const model = await Blip2.fromPretrained(join(folder, 'stage1'));
    const file = new URL('../../examples/apple.webp', import.meta.url);
    expect(await model.preprocess([file])).toEqual(await model.preprocess([fileURLToPath(file)]));
    await model.release();
  });

  it('gives each image of a batch what it gives the image alone', async () => {
    const model = await Blip2.fromPretrained(join(folder, 'stage1'));
    const images = [picture(1), picture(2), picture(3)];
    for (const options of [{}, { numBeams: 3 }, { prompt: 'a red' }, { doSample: true, seed: 5, topK: 4 }]) {
      const together = await model.caption(images, { maxNewTokens: 8, ...options });
      for (const [i, image] of images.entries()) {
        const [alone] = await model.caption([image], { maxNewTokens: 8, ...options });
        expect(alone!.text).toBe(together[i]!.text);
        expect(alone!.score).toBeCloseTo(together[i]!.score, 4);
      }
    }
    await model.release();
  });

  it('scores with a beam search no worse than greedily', async () => {
    const model = await Blip2.fromPretrained(join(folder, 'stage1'));
    const options = { maxNewTokens: 6, lengthPenalty: 0 };
    const [greedy] = await model.caption([picture(4)], options);
    const [best] = await model.caption([picture(4)], { ...options, numBeams: 16 });
    expect(best!.score).toBeGreaterThanOrEqual(greedy!.score - 1e-5);
    await model.release();
  });

  it('gives a text the same scores whatever texts stand beside it', async () => {
    const model = await Blip2.fromPretrained(join(folder, 'stage1'));
    const [alone] = await model.match(picture(1), ['a cat']);
    const beside = await model.match(picture(1), ['the dog on the left of the red apple', 'a cat']);
    expect(beside[1]!.itc).toBeCloseTo(alone!.itc, 5);
    expect(beside[1]!.itm).toBeCloseTo(alone!.itm, 5);
    expect(await model.match(picture(1), [])).toEqual([]);
    await model.release();
  });

  it('is the same model with int8 weights and their scales', async () => {
    const [plain, quantised] = await Promise.all(
      ['stage1', 'stage1-int8'].map((name) => Blip2.fromPretrained(join(folder, name))),
    );
    const [a, b] = await Promise.all([plain!, quantised!].map((model) => model.embed({ images: [picture(2)] })));
    const ours = toFloat32(b!.image_embeds_proj!);
    toFloat32(a!.image_embeds_proj!).forEach((x, i) => {
      expect(ours[i]).toBeCloseTo(x, 5);
    });
    await Promise.all([plain!.release(), quantised!.release()]);
  });

  it('stops when its signal says so', async () => {
    const model = await Blip2.fromPretrained(join(folder, 'stage1'));
    const reason = new Error('enough');
    await expect(model.caption([picture(1)], { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await model.release();
  });
});

describe('a model of stage 2', () => {
  it('captions and answers through its language model, and still matches', async () => {
    const model = await Blip2.fromPretrained(join(folder, 'stage2'));
    expect(model.uses).toEqual(['caption', 'answer', 'match', 'embed']);
    const [captioned] = await model.caption([picture(1)], { prompt: 'a', maxNewTokens: 5 });
    expect(captioned!.score).toBeLessThan(0);
    const [matched] = await model.match(picture(1), ['a cat']);
    expect(matched!.itm).toBeGreaterThan(0);
    expect(matched!.itm).toBeLessThan(1);
    await model.release();
  });

  it('chooses the candidate that is likeliest alone', async () => {
    const model = await Blip2.fromPretrained(join(folder, 'stage2'));
    const candidates = ['cat', 'red dog', 'the blue apple'];
    const chosen = await model.answer(picture(1), 'what', { candidates });
    const scores = await Promise.all(
      candidates.map(async (each) => (await model.answer(picture(1), 'what', { candidates: [each] })).score),
    );
    expect(chosen.text).toBe(candidates[scores.indexOf(Math.max(...scores))]);
    expect(chosen.score).toBeCloseTo(Math.max(...scores), 4);
    await expect(model.answer(picture(1), 'what', { candidates: [] })).rejects.toThrow(UsageError);
    await model.release();
  });
});

describe('a model folder that is wrong', () => {
  const broken = async (name: string, file: string, change: (text: string) => string) => {
    const to = join(folder, name);
    await writeRandomModel(to);
    await writeFile(join(to, file), change(await readFile(join(to, file), 'latin1')), 'latin1');
    return Blip2.fromPretrained(to);
  };

  it('is refused with the file and the field', async () => {
    await expect(broken('a', 'config.json', (t) => t.replace('Blip2For', 'Blop2For'))).rejects.toThrow(
      /config\.json: architectures: expected .*found \["Blop2For/,
    );
    await expect(broken('b', 'config.json', () => '{')).rejects.toThrow(ConfigError);
    await expect(broken('c', 'config.json', (t) => t.replace('"dinov2"', '"dinov3"'))).rejects.toThrow(
      'did you mean dinov2',
    );
    await expect(broken('d', 'preprocessor_config.json', (t) => t.replace('28', '"28"'))).rejects.toThrow(
      /preprocessor_config\.json: size/,
    );
  });
  it('is refused with the tensor', async () => {
    await expect(broken('e', 'model.safetensors', (t) => t.slice(0, -40))).rejects.toThrow(
      /e\/model\.safetensors: tensor \S+: ends at byte \d+ of a \d+-byte file; it is truncated/,
    );
    await expect(
      broken('f', 'model.safetensors', (t) => t.replace('"query_tokens"', '"query_tokenz"')),
    ).rejects.toThrow('1 missing (query_tokens); 1 unexpected (query_tokenz)');
    await expect(
      broken('g', 'config.json', (t) => t.replace('"num_query_tokens": 4', '"num_query_tokens": 5')),
    ).rejects.toThrow('query_tokens is [1,4,16], not [1,5,16]');
  });
  it('is refused with the tensor of another type', async () => {
    const integers = (t: string) => t.replace('"query_tokens":{"dtype":"F32"', '"query_tokens":{"dtype":"I32"');
    await expect(broken('h', 'model.safetensors', integers)).rejects.toThrow(
      /h: the weights are .* 1 mistyped \(query_tokens is int32, not float32\)/,
    );
  });
  it('is refused with the shard that is missing', async () => {
    const to = join(folder, 'i');
    await writeRandomModel(to);
    await rename(join(to, 'model.safetensors'), join(to, 'model-00001-of-00002.safetensors'));
    const weight_map = { query_tokens: 'model-00001-of-00002.safetensors', temp: 'model-00002-of-00002.safetensors' };
    await writeFile(join(to, 'model.safetensors.index.json'), JSON.stringify({ weight_map }));
    await expect(Blip2.fromPretrained(to)).rejects.toThrow(
      /index\.json: shard model-00002-of-00002\.safetensors \(1 tensors\) is missing/,
    );
  });
  it('is refused with the tokenizer that belongs to another embedding', async () => {
    const added = '"added_tokens":[{"id":99,"content":"[NEW]","special":true},';
    const change = (t: string) => t.replace('"added_tokens":[', added);
    await expect(broken('j', 'tokenizer.json', change)).rejects.toThrow(
      /j: this tokenizer has ids up to 99, but embeddings\.word_embeddings\.weight has \d+ rows/,
    );
  });
  it('may hold copies of tied tables', async () => {
    const to = join(folder, 'k');
    await writeRandomModel(to, { language: true });
    const tensors = await (await Checkpoint.open(to)).readAll();
    const table = tensors['language_model.model.embed_tokens.weight']!;
    await writeSafetensors(join(to, 'model.safetensors'), { ...tensors, 'language_model.lm_head.weight': table });
    const model = await Blip2.fromPretrained(to);
    expect(model.uses).toContain('answer');
  });
  it('is refused with its picture, too', async () => {
    const model = await Blip2.fromPretrained(join(folder, 'stage1'));
    await expect(model.caption([join(folder, 'no.png')])).rejects.toThrow(DataError);
    await expect(model.caption([join(folder, 'no.png')])).rejects.toThrow('no.png');
  });
});

it('refuses to embed texts with a model that does not read any, before it reads the images', async () => {
  const model = await Blip2.fromPretrained(goldenPath('checkpoints/blip2-opt'));
  await expect(model.embed({ texts: ['a cat'], images: ['there is no such file'] })).rejects.toThrow(
    /has no head to compare images with texts/,
  );
  await model.release();
});

it('asks for texts where there are none', async () => {
  const model = await Blip2.fromPretrained('pocket');
  await expect(model.embed({ texts: [] })).rejects.toThrow('texts: expected a list of at least one, found []');
  expect(await model.match('examples/apple.webp', [])).toEqual([]);
  await model.release();
});
