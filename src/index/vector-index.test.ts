/** One suite for all indexes: they are one index to whoever uses them. */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import S3rver from '@20minutes/s3rver';
import { connect } from '@lancedb/lancedb';
import { Schema } from 'apache-arrow';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DataError, floats, halfToFloat, random, type Value } from '../core/index.ts';
import { schemaOf } from './lance/arrow.ts';
import { openVectorIndex } from './open.ts';
import { randomItem, testManifest, unitVector } from './random-items.ts';
import type { Item, VectorIndex } from './vector-index.ts';

let folder: string;
let objectStore: S3rver;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-index-'));
  objectStore = new S3rver({
    address: '127.0.0.1',
    port: 0,
    silent: true,
    directory: join(folder, 'buckets'),
    configureBuckets: [{ name: 'pictures' }],
  });
  const { port } = await objectStore.run();
  // As a user names a store that is not Amazon's; key and secret are the server's own.
  Object.assign(process.env, {
    AWS_ENDPOINT: `http://127.0.0.1:${port}`,
    AWS_ALLOW_HTTP: 'true',
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'S3RVER',
    AWS_SECRET_ACCESS_KEY: 'S3RVER',
  });
});
afterAll(async () => {
  await objectStore.close();
  await rm(folder, { recursive: true });
});

const queryVectors = (seed: number, count: number): Value<'float32'> => {
  const draws = random(seed, 'query');
  const all = Array.from({ length: count }, () => [...unitVector(draws, testManifest.width)]);
  return floats([count, testManifest.width], all.flat());
};

/** The largest cosine of each vector with any of the item's queries, averaged over the vectors, in float64. */
function cosine({ vectors }: Item, { data }: Value<'float32'>): number {
  const { width } = testManifest;
  let total = 0;
  for (let i = 0; i < data.length; i += width) {
    let best = -Infinity;
    for (let q = 0; q < vectors.length; q += width) {
      let sum = 0;
      for (let e = 0; e < width; e++) sum += data[i + e]! * vectors[q + e]!;
      best = Math.max(best, sum);
    }
    total += best;
  }
  return (total * width) / data.length;
}

/** The index holds exactly these items, and a search among them gives what looking at all of them gives. */
async function expectToHold(index: VectorIndex, items: ReadonlyMap<string, Item>, seed: number): Promise<void> {
  expect(await index.size()).toBe(items.size);
  const ids = [...items.keys()];
  const found = await index.find({ ids: [...ids, 'no such id'] });
  expect(new Map(found.map((each) => [each.id, each]))).toEqual(
    new Map([...items.values()].map(({ id, path, file }) => [id, { id, path, file }])),
  );
  const query = queryVectors(seed, 1 + (seed % 3));
  const k = 1 + (seed % 7);
  const hits = await index.search(query, k);
  const best = [...items.values()].map((item) => cosine(item, query)).sort((a, b) => b - a);
  expect(hits).toHaveLength(Math.min(k, items.size));
  expect(new Set(hits.map(({ picture }) => picture.id)).size).toBe(hits.length);
  for (const [i, { picture, itc }] of hits.entries()) {
    expect(itc).toBeCloseTo(best[i]!, 5);
    expect(itc).toBeCloseTo(cosine(items.get(picture.id)!, query), 5);
    expect(picture).toEqual(found.find(({ id }) => id === picture.id));
  }
  if (ids.length === 0) return;
  const features = await index.features(ids);
  expect(features.shape).toEqual([ids.length, testManifest.patches, testManifest.feature_width]);
  expect(features.data).toEqual(
    Float32Array.from([...items.values()].flatMap((item) => [...halfToFloat(item.features)])),
  );
}

type Step =
  | { readonly what: 'put' | 'remove'; readonly numbers: readonly number[] }
  | { readonly what: 'rename'; readonly number: number }
  | { readonly what: 'reopen' };

const numbers = fc.uniqueArray(fc.nat(12), { minLength: 1, maxLength: 5 });
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ what: fc.constant('put' as const), numbers }) },
    fc.record({ what: fc.constant('remove' as const), numbers }),
    fc.record({ what: fc.constant('rename' as const), number: fc.nat(12) }),
    fc.record({ what: fc.constant('reopen' as const) }),
  ),
  { minLength: 1, maxLength: 8 },
);

describe.each([
  { backend: 'exact', location: (name: string) => join(folder, `exact-${name}`), numRuns: 12 },
  { backend: 'LanceDB', location: (name: string) => `lance:${join(folder, `lance-${name}`)}`, numRuns: 3 },
  { backend: 'LanceDB in an object store', location: (name: string) => `s3://pictures/${name}`, numRuns: 3 },
])('$backend', ({ location, numRuns }) => {
  let count = 0;
  it('holds and finds what a plain map would, whatever is done to it', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (done) => {
        const place = location(`model-${count++}`);
        const items = new Map<string, Item>();
        let index = await openVectorIndex(place, testManifest);
        for (const [i, step] of done.entries()) {
          if (step.what === 'put') {
            const added = step.numbers.map((n) => randomItem(n));
            await index.put(added);
            for (const item of added) items.set(item.id, item);
          } else if (step.what === 'remove') {
            const ids = step.numbers.map((n) => `id-${n}`).filter((id) => items.has(id));
            await index.remove(ids);
            for (const id of ids) items.delete(id);
          } else if (step.what === 'rename') {
            const item = items.get(`id-${step.number}`);
            if (!item) continue;
            const moved = { id: item.id, path: 'moved.png', file: `/moved/${step.number}.png` };
            await index.rename([moved]);
            items.set(item.id, { ...item, ...moved });
          } else {
            await index.close();
            index = await openVectorIndex(place);
          }
          await expectToHold(index, items, i + count);
        }
        await index.close();
      }),
      { numRuns, seed: 7 },
    );
  }, 180_000);

  it('finds pictures by file and below a folder', async () => {
    const index = await openVectorIndex(location('find'), testManifest);
    await index.put([0, 1, 2, 3].map((n) => randomItem(n)));
    const idsOf = async (selection: Parameters<VectorIndex['find']>[0]) =>
      (await index.find(selection)).map(({ id }) => id).sort();
    expect(await idsOf({})).toEqual([]);
    expect(await idsOf({ files: ["/pictures/1/it's 1.png", '/pictures/1'] })).toEqual(['id-1']);
    expect(await idsOf({ folders: ['/pictures/0'] })).toEqual(['id-0', 'id-3']);
    expect(await idsOf({ ids: ['id-2'], folders: ['/pictures/0', '/pict'] })).toEqual(['id-0', 'id-2', 'id-3']);
    await index.close();
  });

  it('finds the best of many', async () => {
    const items = Array.from({ length: 1100 }, (_, n) => randomItem(n));
    const index = await openVectorIndex(location('many'), testManifest);
    await index.put(items);
    for (const seed of [1, 2, 3]) {
      const query = queryVectors(seed, seed);
      const hits = await index.search(query, 128);
      const best = items.map((item) => cosine(item, query)).sort((a, b) => b - a);
      hits.forEach(({ itc }, i) => {
        expect(itc).toBeCloseTo(best[i]!, 5);
      });
      expect(hits).toHaveLength(128);
    }
    await index.close();
  });

  it('has after a kill what it has acknowledged, and nothing that is half there', async () => {
    const place = location('killed');
    const program = `
      import { openVectorIndex } from './src/index/index.ts';
      import { randomItem, testManifest } from './src/index/random-items.ts';
      const index = await openVectorIndex(${JSON.stringify(place)}, testManifest);
      for (let n = 0; ; n += 5) {
        await index.put([0, 1, 2, 3, 4].map((i) => randomItem(n + i)));
        if (n > 0) await index.remove(['id-' + (n - 1)]);
        process.stdout.write(n + '\\n');
      }`;
    const root = fileURLToPath(new URL('../../', import.meta.url));
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let last = -1;
    for await (const chunk of child.stdout) {
      last = Number(String(chunk).trim().split('\n').at(-1));
      if (last >= 20) child.kill('SIGKILL');
    }
    const index = await openVectorIndex(place);
    const maybe = Array.from({ length: last + 15 }, (_, n) => randomItem(n));
    const kept = new Set((await index.find({ ids: maybe.map(({ id }) => id) })).map(({ id }) => id));
    // The last picture of each batch goes with the next; whether that of the last has gone, nobody was told.
    for (let n = 0; n < last + 4; n++) expect(kept.has(`id-${n}`), `id-${n}`).toBe(n % 5 !== 4);
    await expectToHold(index, new Map(maybe.filter(({ id }) => kept.has(id)).map((item) => [item.id, item])), 5);
    await index.close();
  }, 180_000);

  it('is not there before it is made, and empty then', async () => {
    await expect(openVectorIndex(location('none'))).rejects.toThrow(/none.*: expected an index, but/);
    const index = await openVectorIndex(location('none'), testManifest);
    await expectToHold(index, new Map(), 1);
    await index.close();
  });
});

describe('an index of another format is refused', () => {
  const message = /expected an index of format 1, found format 2/;
  it('by the exact one', async () => {
    const place = join(folder, 'other-exact');
    const index = await openVectorIndex(place, testManifest);
    await index.put([randomItem(1)]);
    await index.close();
    const manifest = await readFile(join(place, 'index.json'));
    await writeFile(join(place, 'index.json'), JSON.stringify({ ...testManifest, format: 2 }));
    await expect(openVectorIndex(place)).rejects.toThrow(message);
    await expect(openVectorIndex(place, testManifest)).rejects.toThrow(message);
    await writeFile(join(place, 'index.json'), manifest);
    await expectToHold(await openVectorIndex(place), new Map([['id-1', randomItem(1)]]), 1); // nothing was touched
    await writeFile(join(place, 'index.json'), '{');
    await expect(openVectorIndex(place, testManifest)).rejects.toThrow(DataError);
  });
  it('by LanceDB', async () => {
    const place = join(folder, 'other-lance');
    const { fields } = schemaOf(testManifest);
    const schema = new Schema(fields, new Map([['blip2_index', JSON.stringify({ ...testManifest, format: 2 })]]));
    await (await connect(place)).createEmptyTable('pictures', schema);
    await expect(openVectorIndex(`lance:${place}`)).rejects.toThrow(message);
  });
});
