import { type Connection, connect, Index, type Table } from '@lancedb/lancedb';
import { DataError, floats, fromBytes, halfToFloat, type Value } from '../../core/index.ts';
import { bestQueryCosines } from '../../pipelines/index.ts';
import { type Manifest, parseManifest } from '../manifest.ts';
import type { Hit, Item, Picture, Selection, VectorIndex } from '../vector-index.ts';
import { manifestText, type Row, schemaOf, tableOf, vectorsOf } from './arrow.ts';

const tableName = 'pictures';
/** From so many pictures on, an approximate search finds the candidates; it is made when the index is closed. */
const indexedFrom = 5000;
/** A search returns a picture once for each of its queries that is near, so more are asked for. */
const candidatesPerResult = 4;

/** Smaller in tests, which have no time for large indexes. */
interface LanceOptions {
  readonly indexedFrom?: number;
}

/**
 * A table of LanceDB, in a local folder or in an object store (`s3://…`, `gs://…`, `az://…`), for collections beyond
 * memory. LanceDB proposes candidates; what ranks them is computed exactly from their vectors.
 */
export class LanceIndex implements VectorIndex {
  readonly manifest: Manifest;
  readonly #connection: Connection;
  readonly #table: Table;
  readonly #indexedFrom: number;
  #isChanged = false;

  private constructor(connection: Connection, table: Table, manifest: Manifest, options: LanceOptions) {
    this.#indexedFrom = options.indexedFrom ?? indexedFrom;
    this.#connection = connection;
    this.#table = table;
    this.manifest = manifest;
  }

  /** Opens the index at a URI, or makes one where there is none and a manifest is given. Throws DataError. */
  static async open(uri: string, create?: Manifest, options: LanceOptions = {}): Promise<LanceIndex> {
    const connection = await connect(uri);
    const found = await openTable(connection, uri);
    if (!found && !create) {
      throw new DataError(
        `${uri}: expected an index, but there is no table ${tableName}; make one with: blip2 index add`,
      );
    }
    const table = found ?? (await connection.createEmptyTable(tableName, schemaOf(create!)));
    const manifest = parseManifest(manifestText(await table.schema()), `${uri}: table ${tableName}`);
    return new LanceIndex(connection, table, manifest, options);
  }

  size(): Promise<number> {
    return this.#table.countRows();
  }

  async find({ ids = [], files = [], folders = [] }: Selection): Promise<Picture[]> {
    const conditions = [
      ...(ids.length > 0 ? [`id IN (${ids.map(quoted)})`] : []),
      ...(files.length > 0 ? [`file IN (${files.map(quoted)})`] : []),
      ...folders.map((folder) => `starts_with(file, ${quoted(`${folder}/`)})`),
    ];
    if (conditions.length === 0) return [];
    const query = this.#table.query().where(conditions.join(' OR ')).select(['id', 'path', 'file']);
    const rows: Row[] = await query.toArray();
    return rows.map(pictureOf);
  }

  async put(items: readonly Item[]): Promise<void> {
    if (items.length === 0) return;
    const insert = this.#table.mergeInsert('id').whenMatchedUpdateAll().whenNotMatchedInsertAll();
    await insert.execute(tableOf(items, this.manifest));
    this.#isChanged = true;
  }

  async rename(pictures: readonly Picture[]): Promise<void> {
    for (const { id, path, file } of pictures) {
      await this.#table.update({ where: `id = ${quoted(id)}`, values: { path, file } });
    }
  }

  async remove(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    await this.#table.delete(`id IN (${ids.map(quoted)})`);
    this.#isChanged = true;
  }

  async search(vectors: Value<'float32'>, k: number): Promise<Hit[]> {
    if (k === 0) return [];
    const hits = new Map<string, Hit>();
    // LanceDB adds up the cosines of several vectors with one query of a picture; we want each's best, so it searches alone.
    const each = rowsOf(vectors);
    for (const vector of each) {
      for (const row of await this.#candidates(vector, k)) {
        if (hits.has(row.id)) continue;
        const cosines = bestQueryCosines(vectorsOf(row, this.manifest), each);
        const itc = cosines.reduce((sum, x) => sum + x, 0) / each.length;
        hits.set(row.id, { picture: pictureOf(row), itc });
      }
    }
    return [...hits.values()].sort((a, b) => b.itc - a.itc).slice(0, k);
  }

  async features(ids: readonly string[]): Promise<Value<'float32'>> {
    const { patches, feature_width: width } = this.manifest;
    const all = new Float32Array(ids.length * patches * width);
    const query = this.#table
      .query()
      .where(`id IN (${ids.map(quoted)})`)
      .select(['id', 'features']);
    const rows: Row[] = await query.toArray();
    const featuresOf = new Map(rows.map(({ id, features }) => [id, features]));
    for (const [i, id] of ids.entries()) {
      const bytes = featuresOf.get(id);
      if (!bytes) throw new DataError(`${tableName}: the index has no picture ${id}`);
      all.set(halfToFloat(fromBytes('float16', bytes)), i * patches * width);
    }
    return floats([ids.length, patches, width], all);
  }

  /** Takes what is new into the approximate search; until then it is searched exactly. */
  async close(): Promise<void> {
    if (this.#isChanged) {
      const isIndexed = (await this.#table.listIndices()).length > 0;
      if (!isIndexed && (await this.size()) >= this.#indexedFrom) {
        await this.#table.createIndex('vectors', { config: Index.ivfPq({ distanceType: 'cosine' }) });
      }
      await this.#table.optimize();
    }
    this.#table.close();
    this.#connection.close();
  }

  /** The rows that are nearest to a vector, so many that `k` pictures are among them where there are as many. */
  async #candidates(vector: Float32Array, k: number): Promise<Row[]> {
    for (let limit = k * candidatesPerResult; ; limit *= 2) {
      const rows: Row[] = await this.#table
        .vectorSearch(vector)
        .column('vectors')
        .distanceType('cosine')
        .limit(limit)
        .select(['id', 'path', 'file', 'vectors', '_distance']) // it warns where the last is not named
        .toArray();
      if (rows.length < limit || new Set(rows.map(({ id }) => id)).size >= k) return rows;
    }
  }
}

/** The table; undefined where there is none. Throws DataError where the place cannot be read. */
async function openTable(connection: Connection, uri: string): Promise<Table | undefined> {
  try {
    return await connection.openTable(tableName);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    if (message.startsWith(`Table '${tableName}' was not found`)) return undefined;
    const [said] = message.split(/\n|, \S+\.rs:/); // without the places in LanceDB's own code
    throw new DataError(`${uri}: expected an index that LanceDB can open, but ${said}`, { cause });
  }
}

const pictureOf = ({ id, path, file }: Row): Picture => ({ id, path, file });

/** Vectors [N, E] one by one. */
const rowsOf = ({ shape, data }: Value<'float32'>): Float32Array[] =>
  Array.from({ length: shape[0]! }, (_, i) => data.subarray(i * shape[1]!, (i + 1) * shape[1]!));

/** A string in SQL. */
const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;
