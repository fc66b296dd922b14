import { constants } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type Duplex, pipeline } from 'node:stream';
import { type StreamArrayItem, streamArray } from 'stream-json/streamers/stream-array.js';
import { type StreamObjectItem, streamObject } from 'stream-json/streamers/stream-object.js';
import type { z } from 'zod';
import { DataError } from '../core/index.ts';

export interface JsonLine<T> {
  /** `file:line`, for errors. */
  readonly where: string;
  readonly row: T;
}

/** Takes a record that cannot be used, so that the rest can: the callback behind `skipBad`. */
export type OnBad = (error: DataError) => void;

/**
 * The rows of a JSON-lines file of any length, checked; blank lines are passed over. A bad line throws DataError naming
 * the file, the line and the field, or is given to `onBad` and left out.
 */
export async function readJsonLines<T>(file: string, schema: z.ZodType<T>, onBad?: OnBad): Promise<JsonLine<T>[]> {
  const rows: JsonLine<T>[] = [];
  let number = 0;
  for await (const line of linesOf(file)) {
    number += 1;
    if (line.trim() === '') continue;
    const where = `${file}:${number}`;
    rows.push(...keepGood(() => ({ where, row: parseJson(line, schema, where) }), onBad));
  }
  return rows;
}

/** The lines of a text file, one after the other. Throws DataError where it cannot be read. */
async function* linesOf(file: string): AsyncGenerator<string, void> {
  const chunks: AsyncIterable<string> = createReadStream(file, 'utf8');
  let line = '';
  try {
    for await (const chunk of chunks) {
      const [end = '', ...more] = chunk.split('\n'); // not readline, which also splits at U+2028, as JSON does not
      line += end;
      for (const next of more) {
        yield line;
        line = next;
      }
    }
  } catch (cause) {
    throw unreadable(file, cause);
  }
  yield line;
}

/** A JSON file as a checked value. Throws DataError naming the file and the first wrong field. */
export const readJson = async <T>(file: string, schema: z.ZodType<T>): Promise<T> =>
  parseJson(await readText(file), schema, file);

/** JSON text as a checked value. Throws DataError naming `where` and the first wrong field. */
export function parseJson<T>(text: string, schema: z.ZodType<T>, where: string): T {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new DataError(`${where}: expected JSON, but ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
  return checkRow(json, schema, where);
}

/** A value that came from a file, checked. Throws DataError naming `where` and the first wrong field. */
export function checkRow<T>(row: unknown, schema: z.ZodType<T>, where: string): T {
  const parsed = schema.safeParse(row);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw new DataError(`${where}: ${path.length > 0 ? `field ${path.join('.')}: ` : ''}${message}`);
}

/** A text file. Throws DataError where it cannot be read, or is longer than a string can be. */
async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw unreadable(file, cause);
  }
}

/**
 * The entries of a file that is one JSON object, one after the other: some are longer than JavaScript's longest string.
 * Throws DataError where it cannot be read or is something else.
 */
export const readEntries = (file: string): AsyncGenerator<StreamObjectItem, void> =>
  itemsOf(file, streamObject.withParserAsStream(), 'object');

/** The elements of a file that is one JSON array, with their numbers. Throws as `readEntries` does. */
export const readElements = (file: string): AsyncGenerator<StreamArrayItem, void> =>
  itemsOf(file, streamArray.withParserAsStream(), 'array');

async function* itemsOf<Item>(file: string, parser: Duplex, expected: string): AsyncGenerator<Item, void> {
  pipeline(createReadStream(file), parser, () => {}); // what goes wrong ends the loop, too
  const items: AsyncIterable<Item> = parser;
  try {
    yield* items;
  } catch (cause) {
    if (cause instanceof Error && 'syscall' in cause) throw unreadable(file, cause);
    const reason = cause instanceof Error ? cause.message : cause;
    throw new DataError(`${file}: expected a JSON ${expected}, but ${reason}`, { cause });
  }
}

function unreadable(file: string, cause: unknown): DataError {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  if (code === 'ENOENT') return new DataError(`${file}: expected a file, but there is none`, { cause });
  if (cause instanceof RangeError || code === 'ERR_STRING_TOO_LONG') {
    const longest = `${constants.MAX_STRING_LENGTH} characters, JavaScript's longest string`;
    return new DataError(`${file}: expected at most ${longest}, in a line or in a file that is one value`, { cause });
  }
  return new DataError(`${file}: expected a file, but ${cause}`, { cause });
}

/** Gives the error to `onBad`; throws it where there is none. */
export function report(error: DataError, onBad?: OnBad): void {
  if (onBad === undefined) throw error;
  onBad(error);
}

/** The value in a list; or none, where making it throws a DataError that `onBad` takes. */
export function keepGood<T>(make: () => T, onBad?: OnBad): T[] {
  try {
    return [make()];
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    report(error, onBad);
    return [];
  }
}
