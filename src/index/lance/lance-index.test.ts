/** What is LanceDB's own: the approximate search of large collections, here from 256 pictures on. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { floats, random } from '../../core/index.ts';
import { bestQueryCosines } from '../../pipelines/index.ts';
import { randomItem, testManifest, unitVector } from '../random-items.ts';
import type { Item } from '../vector-index.ts';
import { LanceIndex } from './lance-index.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-lance-'));
});
afterAll(() => rm(folder, { recursive: true }));

const { queries, width } = testManifest;
const query = (seed: number) => unitVector(random(seed, 'query'), width);
const cosine = (item: Item, vector: Float32Array) =>
  Math.max(...bestQueryCosines(floats([1, queries, width], item.vectors), [vector]));

it('finds most of the best by its approximate index, with exact cosines, also of what came and went later', async () => {
  const place = join(folder, 'large');
  const items = Array.from({ length: 700 }, (_, n) => randomItem(n));
  const indexedFrom = 256;
  const first = await LanceIndex.open(place, testManifest, { indexedFrom });
  await first.put(items.slice(0, 600));
  await first.close(); // makes the approximate index
  const second = await LanceIndex.open(place, undefined, { indexedFrom });
  await second.put(items.slice(600));
  await second.remove(items.slice(0, 50).map(({ id }) => id));
  await second.close(); // keeps it up to date
  const index = await LanceIndex.open(place);
  const kept = items.slice(50);
  let [found, wanted] = [0, 0];
  for (const seed of [1, 2, 3, 4, 5]) {
    const vector = query(seed);
    const best = kept.toSorted((a, b) => cosine(b, vector) - cosine(a, vector)).slice(0, 32);
    const hits = await index.search(floats([1, width], vector), 32);
    expect(hits).toHaveLength(32);
    for (const { picture, itc } of hits) {
      expect(itc).toBeCloseTo(cosine(kept.find(({ id }) => id === picture.id)!, vector), 5);
    }
    const ids = new Set(hits.map(({ picture }) => picture.id));
    found += best.filter(({ id }) => ids.has(id)).length;
    wanted += best.length;
  }
  await index.close();
  expect(found / wanted).toBeGreaterThan(0.5); // by chance: 0.05. These vectors have no structure; of embeddings it finds nearly all
}, 120_000);

it('finds as many pictures as there are, however alike the queries of each', async () => {
  const alike = Array.from({ length: 40 }, (_, n): Item => {
    const one = query(n);
    return { ...randomItem(n), vectors: Float32Array.from({ length: 12 * width }, (_, i) => one[i % width]!) };
  });
  const index = await LanceIndex.open(join(folder, 'alike'), { ...testManifest, queries: 12 });
  await index.put(alike);
  for (const k of [3, 20, 50]) {
    expect(await index.search(floats([1, width], query(99)), k)).toHaveLength(Math.min(k, alike.length));
  }
  await index.close();
});
