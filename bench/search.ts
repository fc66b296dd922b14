import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { floats, type Random, random, type Value } from '../src/core/index.ts';
import { type Hit, type Item, type Manifest, openVectorIndex, type VectorIndex } from '../src/index/index.ts';
import { type Claim, compare, lessIsBetter, type Row, seconds } from './measure.ts';

/** Pictures of the paper's model; their features do not matter here. */
const layout = { queries: 32, width: 256, patches: 1, feature_width: 1 };
const manifest: Manifest = { format: 1, model: 'bench', ...layout };

const k = 128;
const queryCount = 20;
const itemsAtOnce = 500;

/** `SEARCH_SIZES=1000,100000 npm run bench -- search` measures these; 100,000 pictures take 7 GB of disk. */
const sizes = (process.env.SEARCH_SIZES ?? '1000,10000').split(',').map(Number);

/** The 128 best of many pictures for a text: the exact search beside LanceDB's, whose candidates are scored again. */
export const search: Claim = {
  description: 'the 128 best pictures for a text, exact beside LanceDB: time, recall, memory',
  async *run(): AsyncIterable<Row> {
    for (const size of sizes) {
      const folder = mkdtempSync(join(tmpdir(), 'bench-search-'));
      try {
        yield* measure(size, folder);
      } finally {
        rmSync(folder, { recursive: true });
      }
    }
  },
};

async function* measure(size: number, folder: string): AsyncGenerator<Row> {
  const world = new World();
  const queries = Array.from({ length: queryCount }, () => world.text());
  const truth = queries.map(() => [] as Scored[]);
  const [exact, lance] = await Promise.all(
    [join(folder, 'exact'), `lance:${folder}/lance`].map((place) => openVectorIndex(place, manifest)),
  );
  for (let start = 0; start < size; start += itemsAtOnce) {
    const items = Array.from({ length: Math.min(itemsAtOnce, size - start) }, (_, i) => world.picture(start + i));
    await exact!.put(items);
    await lance!.put(items);
    queries.forEach((query, i) => {
      truth[i] = best([...truth[i]!, ...items.map((item) => ({ id: item.id, cosine: cosine(item, query) }))]);
    });
  }
  await lance!.close(); // makes its approximate index
  const peer = await openVectorIndex(`lance:${folder}/lance`);

  const name = `search-${size}`;
  const before = anonymousMegabytes();
  const oursRecall = await recall(exact!, queries, truth);
  const memory = anonymousMegabytes() - before;
  const mean = async (index: VectorIndex) => (1000 / queryCount) * (await seconds(() => searchAll(index, queries)));
  yield await compare(
    { name, unit: 'ms', rounds: 5 },
    () => mean(exact!),
    () => mean(peer),
  );
  const peerRecall = await recall(peer, queries, truth);
  yield { name: `${name}-recall`, ours: oursRecall, peer: peerRecall, ratio: oursRecall / peerRecall, unit: '@128' };
  const vectors = (size * layout.queries * layout.width * Float32Array.BYTES_PER_ELEMENT) / 1e6;
  // The peer is a search that reads its vectors into memory.
  yield lessIsBetter({ name: `${name}-memory`, unit: 'MB' }, Math.max(memory, 1), vectors);
  await exact!.close();
  await peer.close();
}

async function searchAll(index: VectorIndex, queries: readonly Value<'float32'>[]): Promise<Hit[][]> {
  const results: Hit[][] = [];
  for (const query of queries) results.push(await index.search(query, k));
  return results;
}

/** The share of the true best that is found. */
async function recall(
  index: VectorIndex,
  queries: readonly Value<'float32'>[],
  truth: readonly (readonly Scored[])[],
): Promise<number> {
  const shares = (await searchAll(index, queries)).map((hits, i) => {
    const found = new Set(hits.map(({ picture }) => picture.id));
    return truth[i]!.filter(({ id }) => found.has(id)).length / truth[i]!.length;
  });
  return shares.reduce((sum, share) => sum + share, 0) / shares.length;
}

interface Scored {
  readonly id: string;
  readonly cosine: number;
}

const best = (scored: readonly Scored[]): Scored[] => scored.toSorted((a, b) => b.cosine - a.cosine).slice(0, k);

/** The largest cosine of a text with any query of a picture, in float64. */
function cosine({ vectors }: Item, { data }: Value<'float32'>): number {
  let largest = -Infinity;
  for (let start = 0; start < vectors.length; start += layout.width) {
    let sum = 0;
    for (let e = 0; e < layout.width; e++) sum += vectors[start + e]! * data[e]!;
    largest = Math.max(largest, sum);
  }
  return largest;
}

/** Memory of this process that is not mapped from a file. */
const anonymousMegabytes = (): number =>
  Number(/RssAnon:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]) / 1000;

/**
 * Pictures and texts about 200 topics, as embeddings are: each lies near its topic in a space of 48 dimensions, each of
 * a picture's queries has a place of its own, and there is noise.
 */
class World {
  readonly #draws: Random = random(0, 'search');
  readonly #topics = Array.from({ length: 200 }, () => this.#normal(48));
  readonly #basis = Array.from({ length: 48 }, () => this.#normal(layout.width));
  readonly #queries = Array.from({ length: layout.queries }, () => this.#normal(layout.width));

  picture(n: number): Item {
    const meaning = this.#meaning();
    const vectors = new Float32Array(layout.queries * layout.width);
    this.#queries.forEach((place, q) => {
      vectors.set(this.#unit(meaning.map((x, e) => x + 4 * place[e]!)), q * layout.width);
    });
    return { id: `${n}`, path: `${n}`, file: `/${n}`, vectors, features: new Uint16Array(1) };
  }

  text(): Value<'float32'> {
    return floats([1, layout.width], this.#unit(this.#meaning()));
  }

  #meaning(): Float32Array {
    const topic = this.#topics[this.#draws.below(this.#topics.length)]!;
    const meaning = new Float32Array(layout.width);
    this.#basis.forEach((direction, r) => {
      const amount = topic[r]! + 0.7 * this.#draws.normal();
      for (let e = 0; e < layout.width; e++) meaning[e]! += amount * direction[e]!;
    });
    return meaning;
  }

  #unit(direction: Float32Array): Float32Array {
    const noisy = direction.map((x) => x + 3 * this.#draws.normal());
    const length = Math.hypot(...noisy);
    return noisy.map((x) => x / length);
  }

  #normal(width: number): Float32Array {
    return Float32Array.from({ length: width }, () => this.#draws.normal());
  }
}
