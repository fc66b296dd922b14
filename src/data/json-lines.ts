import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { pipeline } from 'node:stream';
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
 * The rows of a JSON-lines file, checked; blank lines are passed over. A bad line throws DataError naming the file, the
 * line and the field, or is given to `onBad` and left out.
 */
export async function readJsonLines<T>(file: string, schema: z.ZodType<T>, onBad?: OnBad): Promise<JsonLine<T>[]> {
  const text = await readText(file);
  return text.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return [];
    const where = `${file}:${i + 1}`;
    return keepGood(() => ({ where, row: parseJson(line, schema, where) }), onBad);
  });
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

/** A text file. Throws DataError where it cannot be read. */
export async function readText(file: string): Promise<string> {
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
export async function* readEntries(file: string): AsyncGenerator<[key: string, row: unknown], void> {
  const entries = streamObject.withParserAsStream();
  pipeline(createReadStream(file), entries, () => {}); // what goes wrong ends the loop, too
  try {
    for await (const { key, value } of entries as AsyncIterable<StreamObjectItem>) yield [key, value];
  } catch (cause) {
    if (cause instanceof Error && 'syscall' in cause) throw unreadable(file, cause);
    throw new DataError(`${file}: expected a JSON object, but ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    });
  }
}

function unreadable(file: string, cause: unknown): DataError {
  const missing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
  return new DataError(`${file}: expected a file, but ${missing ? 'there is none' : cause}`, { cause });
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
