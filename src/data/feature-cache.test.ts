import { appendFile, mkdir, mkdtemp, readFile, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataError, floats, random, type Value } from '../core/index.ts';
import { parseImageProcessor } from '../image/index.ts';
import type { ImageRecord, Records } from './datasets/index.ts';
import { cacheFeatures, FeatureCache } from './feature-cache.ts';
import { composeSingle, type Scene } from './scenes/index.ts';

const shape = { patches: 2, width: 3 };
const size = shape.patches * shape.width;
/** Numbers that float16 holds. */
const features = (...of: number[]) =>
  floats(
    [of.length, 2, 3],
    of.flatMap((x) => [x, x + 0.5, -x, 0, 1, 0.25 * x]),
  );

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-features-'));
});
afterEach(() => rm(folder, { recursive: true }));

function read(cache: FeatureCache, key: string): number[] {
  const out = new Float32Array(size);
  cache.read(key, out, 0);
  return [...out];
}

const put = (cache: FeatureCache, keys: readonly string[], value: Value) => cache.fill(async (add) => add(keys, value));

describe('the feature cache', () => {
  it('gives back what it was given, also when it is opened again', async () => {
    const first = new FeatureCache(folder, shape);
    await put(first, ['a', 'b'], features(1, 2));
    first.close();
    const again = new FeatureCache(folder, shape);
    await put(again, ['c'], features(3));
    for (const [i, key] of ['a', 'b', 'c'].entries()) expect(read(again, key)).toEqual([...features(i + 1).data]);
    expect(again.size).toBe(3);
    expect(() => read(again, 'd')).toThrow(DataError);
    again.close();
  });

  it.each([
    ['a key cut in half', () => appendFile(join(folder, 'keys.txt'), 'c-that-is-cu')],
    ['a key whose row was not written', () => appendFile(join(folder, 'keys.txt'), 'c\n')],
    ['a row whose key was not written', () => appendFile(join(folder, 'features.f16'), new Uint8Array(2 * size))],
    ['a row cut in half', () => truncate(join(folder, 'features.f16'), 3 * size)],
  ])('goes on after an interruption that left %s', async (_, interrupt) => {
    const first = new FeatureCache(folder, shape);
    await put(first, ['a', 'b'], features(1, 2));
    first.close();
    await interrupt();
    const again = new FeatureCache(folder, shape);
    if (!again.has('b')) await put(again, ['b'], features(2));
    expect(again.has('c')).toBe(false);
    await put(again, ['c'], features(3));
    for (const [i, key] of ['a', 'b', 'c'].entries()) expect(read(again, key)).toEqual([...features(i + 1).data]);
    again.close();
    expect(await readFile(join(folder, 'keys.txt'), 'utf8')).toBe('a\nb\nc\n');
  });

  it("is filled by one at a time, and a reader is in nobody's way", async () => {
    const [first, second] = [new FeatureCache(folder, shape), new FeatureCache(folder, shape)];
    const waited: string[] = [];
    let release = () => {};
    const filling = new Promise<void>((started) => {
      const filled = first.fill(async (add) => {
        add(['a'], features(1));
        started();
        await new Promise<void>((go) => {
          release = go;
        });
        add(['b'], features(2));
      });
      filled.catch(started);
    });
    await filling;
    const next = second.fill(
      async (add) => {
        expect([second.has('a'), second.has('b')]).toEqual([true, true]);
        add(['c'], features(3));
      },
      { onWait: (text) => waited.push(text) },
    );
    const reader = new FeatureCache(folder, shape);
    expect(read(reader, 'a')).toEqual([...features(1).data]);
    reader.close();
    await expect.poll(() => waited).toEqual([`${folder}: waiting for another process, which encodes images`]);
    release();
    await next;
    const again = new FeatureCache(folder, shape);
    for (const [i, key] of ['a', 'b', 'c'].entries()) expect(read(again, key)).toEqual([...features(i + 1).data]);
    for (const cache of [first, second, again]) cache.close();
  });
});

describe('caching the features of records', () => {
  const processor = parseImageProcessor({
    image_processor_type: 'BlipImageProcessor',
    size: { height: 2, width: 2 },
    resample: 3,
    image_mean: [0, 0, 0],
    image_std: [1, 1, 1],
  });
  /** As features, the red of a picture, 0 or 1. */
  const encode = async ({ shape: [batch = 0], data }: Value<'float32'>) =>
    features(...Array.from({ length: batch }, (_, i) => data[i * 12]!));

  async function records(colors: Record<string, string>): Promise<Records> {
    const files = Object.keys(colors).map((name) => join(folder, name));
    for (const [i, background] of Object.values(colors).entries()) {
      await sharp({ create: { width: 2, height: 2, channels: 3, background } })
        .png()
        .toFile(files[i]!);
    }
    const record = (i: number) => {
      const [id, path] = [`${i}`, files[i]!];
      return { id, imageId: id, image: { kind: 'file', path } as const, captions: ['a color'] };
    };
    return { length: files.length, record };
  }

  it('encodes each picture once, whatever its name, and none that is known', async () => {
    const cache = new FeatureCache(join(folder, 'cache'), shape);
    const three = await records({ 'a.png': '#f00', 'b.png': '#000', 'c.png': '#f00' });
    const encoded: number[] = [];
    const counted = (pixelValues: Value<'float32'>) => {
      encoded.push(pixelValues.shape[0]!);
      return encode(pixelValues);
    };
    const keys = await cacheFeatures(three, cache, { processor, encode: counted });
    expect(keys[0]).toBe(keys[2]);
    expect(keys.map((key) => read(cache, key!)[0])).toEqual([1, 0, 1]);
    expect(await cacheFeatures(three, cache, { processor, encode: counted })).toEqual(keys);
    expect(encoded).toEqual([2]);
    cache.close();
  });

  it.each([
    ['several datasets', false],
    ['several datasets, one with a picture that cannot be used', true],
  ])('tells records of %s apart that have the same id', async (_, broken) => {
    const cache = new FeatureCache(join(folder, 'cache'), shape);
    const three = await records({ 'a.png': '#f00', 'b.png': '#ff0', 'c.png': '#000' });
    if (broken) await writeFile(join(folder, 'b.png'), 'no image');
    const same: Records = { ...three, record: (i) => ({ ...three.record(i), id: 'same' }) };
    const skipped: string[] = [];
    const onSkip = (error: DataError) => skipped.push(error.message);
    const keys = await cacheFeatures(same, cache, { processor, encode, onSkip });
    expect(keys.map((key) => key && read(cache, key)[0])).toEqual([1, broken ? undefined : 1, 0]);
    expect(skipped).toEqual(broken ? [expect.stringMatching(/^record same: .*b\.png/)] : []);
    cache.close();
  });

  it('encodes a shard anew that was written anew', async () => {
    const cache = new FeatureCache(join(folder, 'cache'), shape);
    const path = join(folder, 'shard.tar');
    const first = async (color: string, changed: Date): Promise<number> => {
      const picture = await sharp({ create: { width: 4, height: 4, channels: 3, background: color } })
        .tiff({ compression: 'none' }) // as long, whatever the color
        .toBuffer();
      await writeFile(path, picture);
      await utimes(path, changed, changed);
      const image = { kind: 'tar' as const, path, member: 'a.tiff', offset: 0, size: picture.length };
      const only: Records<ImageRecord> = { length: 1, record: () => ({ id: 'a', imageId: 'a', image }) };
      const [key] = await cacheFeatures(only, cache, { processor, encode });
      return read(cache, key!)[0]!;
    };
    expect(await first('#f00', new Date(1e12))).toBe(1);
    expect(await first('#000', new Date(2e12))).toBe(0);
    cache.close();
  });

  it('encodes a scene anew of another picture, and not in a copy of the folder or with other captions', async () => {
    const cache = new FeatureCache(join(folder, 'cache'), shape);
    const row = { id: 1, image: 'a.tiff', caption: 'a cat', captions: ['a cat'], source: 'emoji', group: '' };
    const composed = composeSingle(random(1), { ...row, subgroup: '', split: 'train' }, { size: 2 });
    const boxes = [{ left: 0, top: 0, width: 2, height: 2 }];
    const scene = { ...composed, objects: composed.objects.map((object) => ({ ...object, boxes })) };
    let encoded = 0;
    const counted = (pixelValues: Value<'float32'>) => {
      encoded += pixelValues.shape[0]!;
      return encode(pixelValues);
    };
    const first = async (name: string, changes: Partial<Scene> = {}): Promise<number | undefined> => {
      const image = { kind: 'scene' as const, folder: join(folder, name), scene: { ...scene, ...changes } };
      const only: Records<ImageRecord> = { length: 1, record: () => ({ id: 'a', imageId: 'a', image }) };
      const [key] = await cacheFeatures(only, cache, { processor, encode: counted, onSkip: () => {} });
      return key === undefined ? undefined : read(cache, key)[0];
    };
    const draw = async (name: string, color: string): Promise<void> => {
      const picture = sharp({ create: { width: 4, height: 4, channels: 4, background: color } });
      await mkdir(join(folder, name), { recursive: true });
      await picture.tiff({ compression: 'none' }).toFile(join(folder, name, row.image)); // as long, whatever the color
    };
    await draw('one', '#f00');
    await draw('two', '#000');
    await draw('copy', '#f00');
    expect([await first('one'), await first('two'), await first('none')]).toEqual([1, 0, undefined]);
    expect(await first('copy', { caption: 'a dog', captions: ['a dog'] })).toBe(1);
    expect(encoded).toBe(2);
    await draw('copy', '#000');
    expect(await first('copy')).toBe(0);
    expect(encoded).toBe(2); // as the second
    const moved = scene.objects.map((object) => ({ ...object, boxes: [{ left: 1, top: 0, width: 1, height: 2 }] }));
    await first('two', { objects: moved });
    expect(encoded).toBe(3);
    cache.close();
  });

  it('names a picture that cannot be used, or leaves it out', async () => {
    const cache = new FeatureCache(join(folder, 'cache'), shape);
    const three = await records({ 'a.png': '#f00', 'b.png': '#0f0', 'c.png': '#000' });
    await writeFile(join(folder, 'b.png'), 'no image');
    await expect(cacheFeatures(three, cache, { processor, encode })).rejects.toThrow(/b\.png/);
    const skipped: string[] = [];
    const onSkip = (error: DataError) => skipped.push(error.message);
    const keys = await cacheFeatures(three, cache, { processor, encode, batchSize: 2, onSkip });
    expect(keys.map((key) => key && read(cache, key)[0])).toEqual([1, undefined, 0]);
    expect(skipped).toEqual([expect.stringContaining('b.png')]);
    cache.close();
  });
});
