import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import {
  asyncBufferFromFile,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
} from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { z } from 'zod';
import { DataError } from '../core/index.ts';

export type ParquetRow = Readonly<Record<string, unknown>>;

/** A Parquet file whose footer has been read. */
export class ParquetFile {
  readonly path: string;
  readonly #metadata: FileMetaData;

  private constructor(path: string, metadata: FileMetaData) {
    this.path = path;
    this.#metadata = metadata;
  }

  /** Throws DataError naming a file that is missing, cut off or of another format. */
  static async open(path: string): Promise<ParquetFile> {
    try {
      return new ParquetFile(path, await parquetMetadataAsync(await asyncBufferFromFile(path)));
    } catch (cause) {
      throw new DataError(`${path}: expected a whole Parquet file, but ${reasonOf(cause)}`, { cause });
    }
  }

  get columns(): string[] {
    return parquetSchema(this.#metadata).children.map(({ element }) => element.name);
  }

  /** The rows with these columns only, of a range or all. Throws DataError where the file is damaged. */
  async rows(columns: string[], [start, end]: readonly [number?, number?] = []): Promise<ParquetRow[]> {
    try {
      return await parquetReadObjects({
        file: await asyncBufferFromFile(this.path),
        metadata: this.#metadata,
        columns,
        compressors,
        utf8: false, // bytes without a type are pictures, not text
        ...(start !== undefined && { rowStart: start }),
        ...(end !== undefined && { rowEnd: end }),
      });
    } catch (cause) {
      throw new DataError(`${this.path}: columns ${columns.join(', ')} cannot be read: ${reasonOf(cause)}`, { cause });
    }
  }

  /** The rows that are stored together with `row`: from the first to before the last. */
  groupOf(row: number): readonly [first: number, end: number] {
    let first = 0;
    for (const { num_rows } of this.#metadata.row_groups) {
      const end = first + Number(num_rows);
      if (row < end) return [first, end];
      first = end;
    }
    throw new DataError(`${this.path}: expected row ${row}, found ${first} rows: the file has changed`);
  }
}

const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

const bytes = z.instanceof(Uint8Array);
/** A picture in a Hugging Face data set: the bytes of its file, its path, or a structure of both. */
const picture = z.union([bytes, z.string(), z.object({ bytes: bytes.nullish(), path: z.string().nullish() })]);

/** A picture's bytes or its path. */
function contentOf(cell: z.infer<typeof picture>): Uint8Array | string | null | undefined {
  return typeof cell === 'string' || cell instanceof Uint8Array ? cell : (cell.bytes ?? cell.path);
}

const opened = new Map<string, Promise<ParquetFile>>();
/** The rows that were read last: pictures are mostly asked for in order, and many are stored together. */
let lastGroup: { readonly key: string; readonly rows: Promise<ParquetRow[]> } | undefined;

/**
 * The bytes of the picture in a row; a path is relative to the Parquet file. Throws DataError naming the file and the
 * row where there is none.
 */
export async function readParquetImage(path: string, column: string, row: number): Promise<Uint8Array> {
  const opening = opened.get(path) ?? ParquetFile.open(path);
  opened.set(path, opening);
  const file = await opening;
  const [first, end] = file.groupOf(row);
  const key = `${path} ${column} ${first}`;
  if (lastGroup?.key !== key) lastGroup = { key, rows: file.rows([column], [first, end]) };
  const cell = picture.safeParse((await lastGroup.rows)[row - first]?.[column]);
  const content = cell.success ? contentOf(cell.data) : undefined;
  const where = `${path}: row ${row}: field ${column}`;
  if (!content?.length) throw new DataError(`${where}: expected the bytes or the path of a picture, found none`);
  if (typeof content !== 'string') return content;
  return readFile(resolve(dirname(path), content)).catch((cause) => {
    throw new DataError(`${where}: there is no ${content} beside the file`, { cause });
  });
}
