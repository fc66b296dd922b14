import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { writeRandomModel } from '../../test/random-model.ts';
import { ConfigError, DataError, random, UsageError } from '../core/index.ts';
import { Checkpoint, writeSafetensors } from '../hub/index.ts';
import { Blip2 } from '../pipelines/index.ts';
import { type Found, ImageIndex } from './index.ts';

let folder: string;
let model: Blip2;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-images-'));
  await writeRandomModel(join(folder, 'model'));
  model = await Blip2.fromPretrained(join(folder, 'model'));
});
afterAll(async () => {
  await model.release();
  await rm(folder, { recursive: true });
});

let count = 0;
let place: string;
let index: ImageIndex;
beforeEach(async () => {
  place = join(folder, `case-${count++}`);
  await mkdir(place);
  index = await ImageIndex.open(join(place, 'index'), model, { create: true });
  return () => index.close();
});

const at = (name: string) => join(place, name);

async function draw(name: string, seed: number): Promise<string> {
  const draws = random(seed, 'pixels');
  const pixels = Uint8Array.from({ length: 20 * 30 * 3 }, () => draws.below(256));
  await sharp(pixels, { raw: { width: 20, height: 30, channels: 3 } })
    .png()
    .toFile(at(name));
  return at(name);
}

const drawAll = (...names: string[]) => Promise.all(names.map((name, i) => draw(name, i)));

/** The paths of the index, in order. */
async function paths(): Promise<string[]> {
  const found = await index.search({ text: 'a' }, { k: 100, rerank: false });
  return found.map(({ image }) => image).sort();
}

const nothing = { added: 0, updated: 0, renamed: 0, unchanged: 0, skipped: 0 };

it('adds each picture once, whatever it is called and however often it is added', async () => {
  const files = await drawAll('a.png', 'b.png');
  await copyFile(at('a.png'), at('copy.png'));
  const all = [...files, at('copy.png')];
  expect(await index.add(all)).toEqual({ ...nothing, added: 2, unchanged: 1 });
  expect(await index.add(all)).toEqual({ ...nothing, unchanged: 3 });
  expect(await paths()).toEqual(files);
});

it('follows pictures that change, move and change places', async () => {
  const files = await drawAll('a.png', 'b.png', 'c.png');
  await index.add(files);
  await draw('a.png', 10);
  await rename(at('b.png'), at('moved.png'));
  const now = [at('a.png'), at('c.png'), at('moved.png')];
  expect(await index.add(now)).toEqual({ ...nothing, updated: 1, renamed: 1, unchanged: 1 });
  expect(await paths()).toEqual(now);

  const scoresOf = async () => {
    const found = await index.search({ text: 'a cat' }, { rerank: false });
    return new Map(found.map(({ image, itc }) => [image, itc]));
  };
  const before = await scoresOf();
  await rename(at('a.png'), at('x.png'));
  await rename(at('c.png'), at('a.png'));
  await rename(at('x.png'), at('c.png'));
  expect(await index.add(now)).toEqual({ ...nothing, renamed: 2, unchanged: 1 });
  const after = await scoresOf();
  expect(after.get(at('a.png'))).toBeCloseTo(before.get(at('c.png'))!, 6);
  expect(after.get(at('c.png'))).toBeCloseTo(before.get(at('a.png'))!, 6);
  expect(after.size).toBe(3);
});

it('keeps what came before a bad picture, and goes on once it is mended', async () => {
  const files = await Promise.all(Array.from({ length: 20 }, (_, i) => draw(`${i}.png`, i)));
  const whole = await readFile(at('18.png'));
  await writeFile(at('18.png'), whole.subarray(0, 300));
  await expect(index.add(files)).rejects.toThrow(/18\.png: expected a whole PNG image/);
  expect(await index.size()).toBe(19);
  const skipped: string[] = [];
  const missing = at('missing.png');
  expect(await index.add([...files, missing], { onSkip: ({ message }) => skipped.push(message) })).toEqual({
    ...nothing,
    unchanged: 19,
    skipped: 2,
  });
  expect(skipped.map((message) => message.split(':')[0]).sort()).toEqual([at('18.png'), missing]);
  await writeFile(at('18.png'), whole);
  expect(await index.add(files)).toEqual({ ...nothing, added: 1, unchanged: 19 });
});

it('keeps a picture whose file has become unreadable', async () => {
  const [file] = await drawAll('a.png');
  await index.add([file!]);
  await writeFile(file!, 'no picture');
  expect(await index.add([file!], { onSkip: () => {} })).toEqual({ ...nothing, skipped: 1 });
  expect(await paths()).toEqual([file]);
});

it('stops when its signal says so, and keeps what it has', async () => {
  const files = await Promise.all(Array.from({ length: 20 }, (_, i) => draw(`${i}.png`, i)));
  const controller = new AbortController();
  const reason = new Error('enough');
  const adding = index.add(files, { signal: controller.signal, onProgress: () => controller.abort(reason) });
  await expect(adding).rejects.toBe(reason);
  expect(await index.size()).toBe(16);
});

it('removes files and folders, and says where there is nothing to remove', async () => {
  await mkdir(at('sub'));
  const files = await drawAll('a.png', 'sub/b.png', 'sub/c.png', 'sub-d.png');
  await index.add(files);
  await expect(index.remove([at('a.png'), at('nothing')])).rejects.toThrow('nothing: expected a picture of the index');
  expect(await index.size()).toBe(4);
  await rm(at('sub'), { recursive: true });
  expect(await index.remove([at('sub')])).toBe(2);
  expect(await paths()).toEqual([at('a.png'), at('sub-d.png')]);
});

it('scores as the model does, and ranks what ITM has read by the sum of cosine and logit', async () => {
  const files = await Promise.all(Array.from({ length: 6 }, (_, i) => draw(`${i}.png`, i)));
  await index.add(files);
  await rm(files[0]!); // neither the files nor the image encoder are needed any more
  const text = 'a red dog on the left';
  const found = await index.search({ text }, { candidates: 4 });
  expect(found.map(({ rank }) => rank)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(found.map(({ step }) => step)).toEqual(['itm', 'itm', 'itm', 'itm', 'itc', 'itc']);
  await draw('0.png', 0);
  for (const { image, itc, itm, step } of found) {
    const [expected] = await model.match(image, [text]);
    expect(itc).toBeCloseTo(expected!.itc, 5);
    if (step === 'itm') expect(itm).toBeCloseTo(expected!.itm, 3);
    else expect(itm).toBeNull();
  }
  const falling = (numbers: number[]) => expect(numbers).toEqual(numbers.toSorted((a, b) => b - a));
  const reread = found.slice(0, 4);
  const logits = await Promise.all(
    reread.map(({ image }) => model.matchPairs([image], { texts: [text], pairs: [{ image: 0, text: 0 }] })),
  );
  falling(reread.map(({ itc }, i) => itc + logits[i]![0]!.logit));
  falling(found.slice(4).map(({ itc }) => itc));

  const weighing = await Blip2.fromPretrained(join(folder, 'model'));
  weighing.files.config.rerank_itc_weight = 1000;
  const other = await ImageIndex.open(join(place, 'index'), weighing);
  const weighed = await other.search({ text }, { candidates: 4 });
  expect(weighed.map(({ step }) => step)).toEqual(found.map(({ step }) => step));
  falling(weighed.map(({ itc }) => itc)); // a cosine that is worth a thousand logits decides
  await other.close();

  const byCosine = await index.search({ text }, { rerank: false, k: 4 });
  falling(byCosine.map(({ itc }) => itc));
  const names = (results: Found[]) => results.map(({ image }) => image).sort();
  expect(names(byCosine)).toEqual(names(found.slice(0, 4))); // the candidates
});

it('finds a picture by itself', async () => {
  const files = await drawAll('a.png', 'b.png', 'c.png');
  await index.add(files);
  for (const file of files) {
    const [first] = await index.search({ image: file }, { k: 1 });
    expect(first).toMatchObject({ rank: 1, image: file, itm: null, step: 'itc' });
    expect(first!.itc).toBeCloseTo(1, 5);
  }
});

it('belongs to one model', async () => {
  const other = join(folder, 'other');
  await writeRandomModel(other);
  const preprocessor = join(other, 'preprocessor_config.json');
  await writeFile(preprocessor, (await readFile(preprocessor, 'utf8')).replace('0.5', '0.4'));
  await index.add(await drawAll('a.png'));
  const opening = ImageIndex.open(at('index'), await Blip2.fromPretrained(other), { create: true });
  await expect(opening).rejects.toThrow(/index: the index was made by another model/);
  await expect(ImageIndex.open(at('none'), model)).rejects.toThrow(DataError);
  const again = await ImageIndex.open(at('index'), await Blip2.fromPretrained(join(folder, 'model')));
  expect(await again.size()).toBe(1);
});

it('says whose lock it waits for', async () => {
  const [file] = await drawAll('a.png');
  const lock = join(place, 'index', 'lock');
  const told: string[] = [];
  const onWait = (text: string) => {
    told.push(text);
    void rm(lock);
  };
  const waiting = await ImageIndex.open(join(place, 'index'), model, { onWait });
  await writeFile(lock, JSON.stringify({ host: 'elsewhere', pid: 1 }));
  await waiting.add([file!]);
  expect(told).toEqual([`${lock}: waiting for another process, which holds this lock`]);
  await waiting.close();
});

it('is not made for a model that compares no images with texts', async () => {
  const stageTwo = at('stage-two');
  await writeRandomModel(stageTwo, { language: true });
  const weights = Object.entries(await (await Checkpoint.open(stageTwo)).readAll());
  const ofText =
    /^(itm_head|vision_projection|text_projection|embeddings|cls)\b|^qformer.*layer\.\d+\.(output|intermediate)\./;
  const left = weights.filter(([name]) => !ofText.test(name));
  await writeSafetensors(join(stageTwo, 'model.safetensors'), left);
  const writer = await Blip2.fromPretrained(stageTwo);
  await expect(ImageIndex.open(at('none'), writer, { create: true })).rejects.toThrow(ConfigError);
  expect(existsSync(at('none'))).toBe(false);
  await writer.release();
});

it('finds a whole number of pictures', async () => {
  for (const options of [{ k: 0 }, { k: -1 }, { k: 2.5 }, { k: Number.NaN }, { candidates: 0 }, { candidates: 1.5 }]) {
    const found = Object.entries(options).map(([name, count]) => `as ${name}, found ${count}`);
    const refusal = `search: expected a whole number above 0 ${found}`;
    await expect(index.search({ text: 'a' }, options)).rejects.toThrow(new UsageError(refusal));
  }
});
