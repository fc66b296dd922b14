import { constants, existsSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, readFile, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { DataError, floats, halfToFloat, toFloat32, toNumbers, UsageError, type Value } from '../../core/index.ts';
import { tellOfLock, type WaitOptions, withLock, writeJson, writeText } from '../../hub/index.ts';
import { compile, type Session, weightsFrom } from '../../runtime/index.ts';
import { type Manifest, parseManifest } from '../manifest.ts';
import type { Hit, Item, Picture, Selection, VectorIndex } from '../vector-index.ts';
import { nearestRows } from './graph.ts';
import { type Change, Rows } from './rows.ts';

/** A search for so many results. */
interface Compiled {
  readonly k: number;
  readonly session: Session<'values' | 'indices'>;
}

/**
 * A folder with two files of rows of one length, vectors and features, and a journal of the pictures in them. A picture
 * counts once the journal names it, and its row was written before that; rows of removed pictures are used again. Every
 * search reads every vector, mapped from its file.
 */
export class ExactIndex implements VectorIndex {
  readonly manifest: Manifest;
  readonly #folder: string;
  readonly #rows: Rows;
  readonly #waiting: WaitOptions;
  #compiled: Compiled | undefined;

  private constructor(folder: string, manifest: Manifest, { rows, waiting }: { rows: Rows; waiting: WaitOptions }) {
    this.#folder = folder;
    this.#waiting = waiting;
    this.manifest = manifest;
    this.#rows = rows;
  }

  /**
   * Opens the index in a folder, or makes one where there is none and a manifest is given. `waiting` is told where another
   * process writes. Throws DataError, and UsageError where it cannot be made in this folder.
   */
  static async open(folder: string, create?: Manifest, waiting: WaitOptions = {}): Promise<ExactIndex> {
    const file = join(folder, 'index.json');
    if (create && !existsSync(file)) await createFiles(folder, create);
    const manifest = parseManifest(await readText(file), file);
    const real = await realpath(folder);
    const index = new ExactIndex(real, manifest, { rows: await Rows.open(join(real, 'pictures.jsonl')), waiting });
    await index.#checkLengths();
    return index;
  }

  async size(): Promise<number> {
    return this.#rows.size;
  }

  async find({ ids = [], files = [], folders = [] }: Selection): Promise<Picture[]> {
    const [wantedIds, wantedFiles] = [new Set(ids), new Set(files)];
    const prefixes = folders.map((folder) => folder + sep);
    return [...this.#rows.entries()]
      .map(([, picture]) => picture)
      .filter(
        ({ id, file }) =>
          wantedIds.has(id) || wantedFiles.has(file) || prefixes.some((prefix) => file.startsWith(prefix)),
      );
  }

  async put(items: readonly Item[]): Promise<void> {
    if (items.length > 0) await this.#locked(() => this.#put(items));
  }

  async #put(items: readonly Item[]): Promise<void> {
    await this.#rows.prepare();
    await this.close(); // what is compiled knows the rows that were there
    const added = items.filter(({ id }) => this.#rows.rowOf(id) === undefined);
    const free = this.#rows.free(added.length);
    const rowOf = (item: Item) => this.#rows.rowOf(item.id) ?? free[added.indexOf(item)]!;
    const placed = items.map((item) => ({ item, row: rowOf(item) }));
    await this.#write(
      this.#vectors,
      placed.map(({ item, row }) => [row, item.vectors]),
    );
    await this.#write(
      this.#features,
      placed.map(({ item, row }) => [row, item.features]),
    );
    await this.#rows.record(placed.map(({ item: { id, path, file }, row }) => ({ row, picture: { id, path, file } })));
  }

  async rename(pictures: readonly Picture[]): Promise<void> {
    await this.#record(pictures.map((picture) => ({ row: this.#existing(picture.id), picture })));
  }

  async remove(ids: readonly string[]): Promise<void> {
    await this.#record(ids.map((id) => ({ row: this.#existing(id), picture: null })));
  }

  async search(vectors: Value<'float32'>, k: number): Promise<Hit[]> {
    const count = Math.min(k, this.#rows.size);
    if (count === 0) return [];
    const session = await this.#session(count);
    const mask = new Float32Array(this.#rows.length).fill(-Infinity);
    for (const [row] of this.#rows.entries()) mask[row] = 0;
    const { values, indices } = await session.run({ vectors, mask: floats([mask.length], mask) });
    const cosines = toFloat32(values);
    return toNumbers(indices).map((row, i) => ({ picture: this.#rows.at(row)!, itc: cosines[i]! }));
  }

  async features(ids: readonly string[]): Promise<Value<'float32'>> {
    const { patches, feature_width: width } = this.manifest;
    const halves = new Uint16Array(ids.length * patches * width);
    const bytes = new Uint8Array(halves.buffer);
    const { path, rowBytes } = this.#features;
    await withFile(path, constants.O_RDONLY, async (file) => {
      for (const [i, id] of ids.entries()) {
        await file.read(bytes, i * rowBytes, rowBytes, this.#existing(id) * rowBytes);
      }
    });
    return floats([ids.length, patches, width], halfToFloat(halves));
  }

  async close(): Promise<void> {
    await this.#compiled?.session.release();
    this.#compiled = undefined;
  }

  get #vectors(): RowFile {
    const { queries, width } = this.manifest;
    return { path: join(this.#folder, 'vectors.f32'), rowBytes: queries * width * Float32Array.BYTES_PER_ELEMENT };
  }

  get #features(): RowFile {
    const { patches, feature_width: width } = this.manifest;
    return { path: join(this.#folder, 'features.f16'), rowBytes: patches * width * Uint16Array.BYTES_PER_ELEMENT };
  }

  #existing(id: string): number {
    const row = this.#rows.rowOf(id);
    if (row !== undefined) return row;
    throw new DataError(`${this.#folder}: the index has no picture ${id}`);
  }

  async #write({ path, rowBytes }: RowFile, rows: readonly (readonly [number, ArrayBufferView])[]): Promise<void> {
    await withFile(path, constants.O_RDWR, async (file) => {
      for (const [row, data] of rows) {
        const bytes = new Uint8Array(data.buffer, data.byteOffset, rowBytes);
        for (let done = 0; done < rowBytes; ) {
          done += (await file.write(bytes, done, rowBytes - done, row * rowBytes + done)).bytesWritten;
        }
      }
      await file.sync();
    });
  }

  async #record(changes: readonly Change[]): Promise<void> {
    if (changes.length === 0) return;
    await this.#locked(async () => {
      await this.#rows.prepare();
      await this.#rows.record(changes);
    });
  }

  /** One process at a time writes; one that was second finds the journal changed, and stops. */
  #locked = (write: () => Promise<void>): Promise<void> => {
    const lock = join(this.#folder, 'lock');
    return withLock(lock, write, tellOfLock(lock, this.#waiting));
  };

  async #session(k: number): Promise<Compiled['session']> {
    if (this.#compiled?.k === k) return this.#compiled.session;
    await this.close();
    const { queries, width } = this.manifest;
    const file = { file: this.#vectors.path, rows: this.#rows.length, queries, width };
    const { outputs, state } = nearestRows(file, k);
    const session = await compile(outputs, weightsFrom(state), { mapped: true, spinning: false });
    this.#compiled = { k, session };
    return session;
  }

  /** Rows that the journal names are in the files. */
  async #checkLengths(): Promise<void> {
    for (const { path, rowBytes } of [this.#vectors, this.#features]) {
      const { size } = await stat(path);
      if (size < this.#rows.length * rowBytes) {
        throw new DataError(
          `${path}: expected ${this.#rows.length} rows of ${rowBytes} bytes, found ${size} bytes; the index is damaged`,
        );
      }
    }
  }
}

/** A file of rows that have the same length. */
interface RowFile {
  readonly path: string;
  readonly rowBytes: number;
}

const dataFiles = ['vectors.f32', 'features.f16', 'pictures.jsonl'];

/**
 * The description comes last: it says that the rest is there. Throws DataError where there are pictures without one,
 * UsageError in a folder of other things, as one of pictures that is named in the place of the index.
 */
async function createFiles(folder: string, manifest: Manifest): Promise<void> {
  await mkdir(folder, { recursive: true });
  const other = (await readdir(folder)).find((name) => !name.startsWith('.') && ![...dataFiles, 'lock'].includes(name));
  if (other !== undefined) {
    throw new UsageError(
      `${folder}: expected an index, an empty folder or none, found ${other} in it; name the index first, then pictures`,
    );
  }
  const journal = join(folder, 'pictures.jsonl');
  if ((await stat(journal).catch(() => undefined))?.size) {
    throw new DataError(
      `${journal}: expected no pictures where there is no index.json; put that back, or name another folder`,
    );
  }
  for (const name of dataFiles) await writeText(join(folder, name), '');
  await writeJson(join(folder, 'index.json'), manifest);
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    const absent = cause instanceof Error && 'code' in cause && (cause.code === 'ENOENT' || cause.code === 'ENOTDIR');
    const found = absent ? 'there is no such file' : String(cause);
    throw new DataError(`${file}: expected an index, but ${found}; make one with: blip2 index add`, { cause });
  }
}

async function withFile<T>(path: string, flags: number, body: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path, flags);
  try {
    return await body(file);
  } finally {
    await file.close();
  }
}
