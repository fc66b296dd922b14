import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { DataError } from '../core/index.ts';
import { standardInput } from './interrupt.ts';

/** The lines of a file that are not blank; `-` is standard input. Throws DataError where it cannot be read. */
export async function readLines(file: string): Promise<string[]> {
  const content = file === '-' ? await text(standardInput()) : await readText(file);
  return content.split(/\r?\n/).filter((line) => line.trim() !== '');
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new DataError(`${file}: expected a text file, but ${String(cause)}`, { cause });
  }
}
