import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataError, UsageError } from '../../core/index.ts';
import { readCutouts } from '../cutout.ts';
import type { Scene } from '../scenes/index.ts';
import { expandBraces } from './expand-braces.ts';
import { concatenate, type Dataset, openDataset } from './index.ts';

let dir: string;
let png: Buffer;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'blip2-data-'));
  png = await sharp({ create: { width: 4, height: 3, channels: 3, background: '#f00' } })
    .png()
    .toBuffer();
});
afterEach(() => rm(dir, { recursive: true }));

const put = async (name: string, content: string | Buffer) => {
  await mkdir(join(dir, name, '..'), { recursive: true });
  await writeFile(join(dir, name), content);
  return join(dir, name);
};
const lines = (...rows: unknown[]) =>
  rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row))).join('\n');
const all = (dataset: Dataset) => Array.from({ length: dataset.length }, (_, i) => dataset.record(i));

/** Writes a tar file and returns its path. */
async function tarFile(name: string, members: Record<string, string | Buffer>): Promise<string> {
  const tar = pack();
  for (const [member, content] of Object.entries(members)) tar.entry({ name: member }, content);
  tar.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of tar) if (chunk instanceof Uint8Array) chunks.push(chunk);
  return put(name, Buffer.concat(chunks));
}

describe('jsonl', () => {
  it('reads one or several captions, images relative to the file', async () => {
    await put('sub/a.png', png);
    const path = await put(
      'data.jsonl',
      lines({ image: 'sub/a.png', caption: ' a cat ', id: 7 }, '', {
        image: 'sub/a.png',
        captions: ['a dog', 'a pet'],
      }),
    );
    const image = { kind: 'file', path: join(dir, 'sub/a.png') };
    expect(all(await openDataset({ type: 'jsonl', path }))).toEqual([
      { id: '7', imageId: 'sub/a.png', image, captions: ['a cat'] },
      { id: `${path}:3`, imageId: 'sub/a.png', image, captions: ['a dog', 'a pet'] },
    ]);
  });

  it.each([
    ['no JSON', '{"image":', /data\.jsonl:2: expected JSON/],
    ['no image field', { caption: 'a cat' }, /data\.jsonl:2: field image: .*string/],
    [
      'a missing image',
      { image: 'none.png', caption: 'a cat' },
      /data\.jsonl:2: field image: .*there is no .*none\.png/,
    ],
    ['an empty image', { image: 'empty.png', caption: 'a cat' }, /data\.jsonl:2: field image: .*empty\.png is empty/],
    ['no caption', { image: 'a.png' }, /data\.jsonl:2: field caption: .*found none/],
    ['an empty caption', { image: 'a.png', caption: ' ' }, /data\.jsonl:2: field caption: .*empty/],
    ['a caption that is no text', { image: 'a.png', caption: 3 }, /data\.jsonl:2: field caption: .*string/],
    ['an id twice', { image: 'a.png', caption: 'a dog', id: 'x' }, /data\.jsonl: .*a\.png: the id x is already taken/],
  ])('names the line and the field of %s, or skips it', async (_, bad, message) => {
    await put('a.png', png);
    await put('empty.png', '');
    const good = { image: 'a.png', caption: 'a cat', id: 'x' };
    const config = { type: 'jsonl', path: await put('data.jsonl', lines(good, bad)) };
    await expect(openDataset(config)).rejects.toThrow(message);
    await expect(openDataset(config)).rejects.toThrow(DataError);
    const skipped: string[] = [];
    const dataset = await openDataset(config, { skipBad: true, onSkip: (error) => skipped.push(error.message) });
    expect([dataset.length, dataset.skipped]).toEqual([1, 1]);
    expect(skipped).toEqual([expect.stringMatching(message)]);
  });

  it('is no dataset without a usable record', async () => {
    const config = { type: 'jsonl', path: await put('data.jsonl', '{}') };
    await expect(openDataset(config, { skipBad: true })).rejects.toThrow(/no usable record; 1 were skipped/);
  });
});

describe('folder', () => {
  it('reads captions from text files beside the images, in subfolders too', async () => {
    await put('b/2.png', png);
    await put('b/2.txt', 'a dog\n\na pet\n');
    await put('1.webp', png);
    await put('1.txt', 'a cat');
    await put('3.HEIC', 'pixels');
    await put('3.txt', 'a cow');
    const records = all(await openDataset({ type: 'folder', path: dir }));
    expect(records.map(({ id, captions }) => [id, captions])).toEqual([
      ['1.webp', ['a cat']],
      ['3.HEIC', ['a cow']],
      ['b/2.png', ['a dog', 'a pet']],
    ]);
  });

  it.each([
    ['an image without a caption', 'a.png', png, /a\.png: captions in a\.txt: .*found none/],
    ['a caption without an image', 'a.txt', 'a cat', /a\.txt: expected an image of the same name/],
  ])('names %s', async (_, name, content, message) => {
    await put('b.png', png ?? '');
    await put('b.txt', 'a cat');
    await put(
      name,
      content ??
        (await sharp({ create: { width: 1, height: 1, channels: 3, background: '#000' } })
          .png()
          .toBuffer()),
    );
    await expect(openDataset({ type: 'folder', path: dir })).rejects.toThrow(message);
    expect(await openDataset({ type: 'folder', path: dir }, { skipBad: true })).toMatchObject({
      length: 1,
      skipped: 1,
    });
  });
});

describe('webdataset', () => {
  it('finds the images by offset in all shards', async () => {
    const long = `${'folder/'.repeat(20)}0003`; // needs an extended header
    await tarFile('x-0.tar', {
      'a/0001.txt': 'a cat',
      'a/0001.png': png,
      '0002.seg.json': '{}',
      '0002.jpg': 'two',
      '0002.txt': 'b',
    });
    await tarFile('x-1.tar', { [`${long}.webp`]: 'three!', [`${long}.json`]: '{"captions": ["c", "d"], "url": "u"}' });
    const records = all(await openDataset({ type: 'webdataset', path: join(dir, 'x-{0..1}.tar') }));
    expect(records.map(({ id, captions }) => [id, captions])).toEqual([
      ['a/0001', ['a cat']],
      ['0002', ['b']],
      [long, ['c', 'd']],
    ]);
    const contents = records.map(async ({ image }) => {
      if (image.kind !== 'tar') return undefined;
      return (await readFile(image.path)).subarray(image.offset, image.offset + image.size);
    });
    expect(await Promise.all(contents)).toEqual([png, Buffer.from('two'), Buffer.from('three!')]);
  });

  it.each([
    ['text beside json about other things', { txt: 'a cat', json: '[{"bbox": [1, 2]}]' }, ['a cat']],
    ['text beside broken json', { txt: 'a cat', json: '{' }, ['a cat']],
    ['json that is a list of them', { json: '["a cat", "a pet"]' }, ['a cat', 'a pet']],
    ['json where one field is null', { json: '{"caption": "a cat", "captions": null}' }, ['a cat']],
  ])('takes captions from %s', async (_, parts, captions) => {
    const named = Object.entries(parts).map(([extension, content]) => [`1.${extension}`, content] as const);
    const path = await tarFile('x.tar', { '1.png': png, ...Object.fromEntries(named) });
    expect(all(await openDataset({ type: 'webdataset', path })).map((record) => record.captions)).toEqual([captions]);
  });

  it('passes no samples as arguments, of which a shard of 120,000 has more than fit on the stack', async () => {
    const members = Array.from({ length: 50 }, (_, i) => ({ [`${i}.png`]: png, [`${i}.txt`]: 'a cat' }));
    const path = await tarFile('x.tar', Object.assign({}, ...members));
    const { push } = Array.prototype;
    let most = 0;
    Array.prototype.push = function (...items) {
      most = Math.max(most, items.length);
      return push.apply(this, items);
    };
    try {
      expect((await openDataset({ type: 'webdataset', path })).length).toBe(50);
    } finally {
      Array.prototype.push = push;
    }
    expect(most).toBeLessThan(50);
  });

  it('names a truncated shard and where it ends, or keeps what is whole', async () => {
    const path = await tarFile('x.tar', {
      '1.png': png,
      '1.txt': 'a cat',
      '2.png': Buffer.alloc(5000, 1),
      '2.txt': 'a dog',
    });
    await truncate(path, 4 * 512 + 1000);
    await expect(openDataset({ type: 'webdataset', path })).rejects.toThrow(
      /x\.tar: expected a whole tar file, but after 2\.png/,
    );
    expect(await openDataset({ type: 'webdataset', path }, { skipBad: true })).toMatchObject({ length: 1, skipped: 1 });
  });

  it.each([
    ['no image', { '1.txt': 'a cat' }, /x\.tar: 1: expected an image/],
    ['an empty image', { '1.png': '', '1.txt': 'a cat' }, /x\.tar: 1: .*1\.png is empty/],
    ['no caption', { '1.png': 'image' }, /x\.tar: 1: expected at least one caption/],
    ['an empty caption', { '1.png': 'image', '1.txt': ' \n' }, /x\.tar: 1: expected a caption, found an empty one/],
    [
      'json without a caption',
      { '1.png': 'image', '1.json': '{"url": "u"}' },
      /x\.tar: 1: expected at least one caption/,
    ],
    [
      'a caption of null',
      { '1.png': 'image', '1.json': '{"caption": null}' },
      /x\.tar: 1: expected at least one caption/,
    ],
    [
      'json of another kind',
      { '1.png': 'image', '1.json': '{"captions": 3}' },
      /x\.tar: 1\.json: field captions: .*array/,
    ],
    ['broken json', { '1.png': 'image', '1.json': '{' }, /x\.tar: 1\.json: expected JSON/],
  ])('names a sample with %s', async (_, members: Record<string, string>, message) => {
    const path = await tarFile('x.tar', { ...members, '0.png': 'image', '0.txt': 'fine' });
    await expect(openDataset({ type: 'webdataset', path })).rejects.toThrow(message);
    expect(await openDataset({ type: 'webdataset', path }, { skipBad: true })).toMatchObject({ length: 1, skipped: 1 });
  });

  it('names a shard that is corrupt in its middle, in the middle of others, or leaves out what comes after', async () => {
    const members = (i: number) => ({
      ...{ [`${i}a.png`]: png, [`${i}a.txt`]: 'a cat' },
      ...{ [`${i}b.png`]: png, [`${i}b.txt`]: 'a dog' },
      ...{ [`${i}c.png`]: png, [`${i}c.txt`]: 'a cow' },
    });
    for (const i of [0, 1, 2]) await tarFile(`x-${i}.tar`, members(i));
    const bytes = await readFile(join(dir, 'x-1.tar'));
    const header = bytes.indexOf('1b.txt');
    await writeFile(join(dir, 'x-1.tar'), bytes.fill(0xff, header, header + 200));
    const config = { type: 'webdataset', path: join(dir, 'x-{0..2}.tar') };
    const message = /x-1\.tar: expected a whole tar file, but after 1b\.png: /;
    await expect(openDataset(config)).rejects.toThrow(message);
    await expect(openDataset(config)).rejects.toThrow(DataError);
    const skipped: string[] = [];
    const dataset = await openDataset(config, { skipBad: true, onSkip: (error) => skipped.push(error.message) });
    expect(all(dataset).map(({ id }) => id)).toEqual(['0a', '0b', '0c', '1a', '2a', '2b', '2c']);
    expect(skipped).toEqual([expect.stringMatching(message)]);
    expect(skipped[0]).not.toContain('\n');
  });

  it('names a missing shard, and an id that two shards share', async () => {
    const path = await tarFile('x-00.tar', { '1.png': 'image', '1.txt': 'a cat' });
    await writeFile(join(dir, 'x-01.tar'), await readFile(path));
    const open = (pattern: string) => openDataset({ type: 'webdataset', path: join(dir, pattern) });
    await expect(open('x-{00..02}.tar')).rejects.toThrow(/x-02\.tar.*ENOENT/);
    await expect(open('x-{00..01}.tar')).rejects.toThrow(/x-01\.tar: 1\.png: the id 1 is already taken/);
  });

  it('expands braces with leading zeros', () => {
    expect(expandBraces('x-{08..11}.tar')).toEqual(['x-08.tar', 'x-09.tar', 'x-10.tar', 'x-11.tar']);
    expect(expandBraces('{1..2}/{0..1}')).toEqual(['1/0', '1/1', '2/0', '2/1']);
    expect(expandBraces('x.tar')).toEqual(['x.tar']);
  });
});

describe('options', () => {
  it.each([
    [{ type: 'jsonl' }, /data\.path: .*string/],
    [{ type: 'jsonl', path: 'x', pth: 1 }, /pth/],
    [{ type: 'scenes', path: 'x', n: 'many' }, /data\.n: .*number/],
    [{ type: 'json', path: 'x' }, /expected one of jsonl, .*found json; jsonl\?/],
  ])('%j', async (config, message) => {
    await expect(openDataset(config)).rejects.toThrow(UsageError);
    await expect(openDataset(config)).rejects.toThrow(message);
  });
});

it('concatenates datasets', async () => {
  await put('a.png', png);
  const open = async (name: string, ...captions: string[]) =>
    openDataset({
      type: 'jsonl',
      path: await put(name, lines(...captions.map((caption) => ({ image: 'a.png', caption })))),
    });
  const both = concatenate([await open('1.jsonl', 'a', 'b'), await open('2.jsonl', 'c')]);
  expect(all(both).map(({ captions }) => captions[0])).toEqual(['a', 'b', 'c']);
  expect(() => both.record(3)).toThrow(/have 3 records/);
});

const shared = process.env.DATASET_DIR ?? '../shared/dataset';
describe.skipIf(!existsSync(join(shared, 'data.jsonl')))('the shared set', () => {
  it('is read by split and source', async () => {
    const { splits } = JSON.parse(await readFile(join(shared, 'splits.json'), 'utf8'));
    const ids = async (options: object) =>
      all(await openDataset({ type: 'cutouts', path: shared, ...options })).map(({ id }) => Number(id));
    expect(new Set(await ids({ split: 'heldout_items' }))).toEqual(new Set(splits.heldout_items));
    const fluent = await ids({ sources: ['emoji-fluent-emoji-flat'] });
    expect(fluent.length).toBeGreaterThan(0);
    expect(splits.train).toEqual(expect.arrayContaining(fluent));
  });

  it('puts alike pictures beside each other, each once', async () => {
    const rows = await readCutouts(shared, { split: 'train' });
    const kinds = new Map(rows.map(({ id, group, subgroup }) => [String(id), `${group}/${subgroup}`]));
    const alike = await openDataset({ type: 'cutouts', path: shared, alike: 16 });
    expect(alike.together).toBe(16);
    const ids = all(alike).map(({ id }) => id);
    expect(new Set(ids)).toEqual(new Set(kinds.keys()));
    const changes = ids.filter((id, i) => kinds.get(id) !== kinds.get(ids[i - 1] ?? '')).length;
    expect(changes).toBe(new Set(kinds.values()).size);
  });

  it('gives a few of their tags in place of captions', async () => {
    const rows = new Map((await readCutouts(shared, { split: 'train' })).map((row) => [String(row.id), row]));
    const tagged = all(await openDataset({ type: 'cutouts', path: shared, captions: 'tags' }));
    expect(tagged.length).toBeGreaterThan(0.8 * rows.size);
    for (const { id, captions } of tagged) {
      const { tags = [], caption } = rows.get(id)!;
      const texts = captions.map((text) => text.split(', '));
      expect(texts.filter((words) => words.length > 3 && words[0] !== caption)).toEqual([]);
      expect(texts.flat().filter((word) => !tags.includes(word) && !caption.includes(word))).toEqual([]);
    }
    expect(tagged.flatMap(({ captions }) => captions).filter((text) => text.includes('hash('))).toEqual([]);
    expect(all(await openDataset({ type: 'cutouts', path: shared, captions: 'tags' }))).toEqual(tagged);
  });

  it('gives scenes by number and seed, of the training split alone', async () => {
    const { splits } = JSON.parse(await readFile(join(shared, 'splits.json'), 'utf8'));
    const train = new Set<number>(splits.train);
    const open = (seed: number) => openDataset({ type: 'scenes', path: shared, n: 50, seed, singles: 0.5 });
    const [first, again, other] = [all(await open(1)), all(await open(1)), all(await open(2))];
    expect(first).toEqual(again);
    expect(first.map(({ captions }) => captions)).not.toEqual(other.map(({ captions }) => captions));
    const pictures = first.flatMap(({ image }) => (image.kind === 'scene' ? image.scene.objects : []));
    expect(pictures.filter(({ picture }) => !train.has(picture.id))).toEqual([]);
  });

  it('gives twin scenes of a few nouns and objects, which show the same things elsewhere', async () => {
    const limits = { n: 60, seed: 5, nouns: 20, max_objects: 2 };
    const twins = await openDataset({ type: 'twin_scenes', path: shared, ...limits });
    const scenes = all(twins).flatMap(({ image }) => (image.kind === 'scene' ? [image.scene] : []));
    const namesOf = (scene: Scene | undefined) => scene!.objects.map(({ noun }) => noun.name);
    expect(twins.together).toBe(2);
    expect(new Set(scenes.map(({ objects }) => objects.length))).toEqual(new Set([2]));
    expect(new Set(scenes.flatMap(namesOf)).size).toBeLessThanOrEqual(20);
    for (let i = 0; i < scenes.length; i += 2) expect(namesOf(scenes[i])).toEqual(namesOf(scenes[i + 1]).reverse());
  });

  it('gives twin scenes of no fewer objects than it is told', async () => {
    const open = (limits: object) => openDataset({ type: 'twin_scenes', path: shared, n: 40, ...limits });
    const scenes = all(await open({ min_objects: 3 })).flatMap(({ image }) =>
      image.kind === 'scene' ? [image.scene] : [],
    );
    expect(new Set(scenes.map(({ objects }) => objects.length))).toEqual(new Set([3, 4]));
    await expect(open({ min_objects: 3, max_objects: 2 })).rejects.toThrow(
      /min_objects: expected at most max_objects, 2/,
    );
  });
});
