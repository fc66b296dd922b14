import { appendFile, readFile, rm } from 'node:fs/promises';
import { z } from 'zod';
import { DataError } from '../core/index.ts';
import { writeText } from '../hub/index.ts';

const record = z.object({ image: z.string(), caption: z.string(), score: z.number() });
export type CaptionRecord = z.infer<typeof record>;

/**
 * A JSONL file of captions that an interrupted run goes on with: lines are collected in `<file>.partial`, and the file
 * itself appears, or is replaced, when all are there. Images that are in either already are not captioned again.
 */
export class CaptionFile {
  readonly #path: string;
  readonly #partial: string;
  readonly #records: Map<string, CaptionRecord>;

  private constructor(path: string, records: Map<string, CaptionRecord>) {
    this.#path = path;
    this.#partial = `${path}.partial`;
    this.#records = records;
  }

  /** Throws DataError where the file holds something else than captions. */
  static async open(path: string): Promise<CaptionFile> {
    const partial = `${path}.partial`;
    const interrupted = await readLines(partial);
    const begun = parse(partial, interrupted.slice(0, -1)); // what follows the last line break was cut off
    if (interrupted.at(-1) !== '') await writeText(partial, jsonLines(begun));
    const whole = parse(
      path,
      (await readLines(path)).filter((line) => line !== ''),
    );
    return new CaptionFile(path, new Map([...whole, ...begun].map((each) => [each.image, each])));
  }

  has(image: string): boolean {
    return this.#records.has(image);
  }

  async add(added: CaptionRecord): Promise<void> {
    this.#records.set(added.image, added);
    await appendFile(this.#partial, jsonLines([added]));
  }

  /** Puts the whole file in place. */
  async finish(): Promise<void> {
    await writeText(this.#path, jsonLines([...this.#records.values()]));
    await rm(this.#partial, { force: true });
  }
}

const jsonLines = (records: readonly CaptionRecord[]): string => records.map((r) => `${JSON.stringify(r)}\n`).join('');

async function readLines(file: string): Promise<string[]> {
  try {
    return (await readFile(file, 'utf8')).split('\n');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return [''];
    throw new DataError(`${file}: cannot be read: ${String(cause)}`, { cause });
  }
}

function parse(file: string, lines: readonly string[]): CaptionRecord[] {
  return lines.map((line, i) => {
    const found = record.safeParse(parseJson(line));
    if (found.success) return found.data;
    throw new DataError(`${file}:${i + 1}: expected {image, caption, score}; name another file, or remove this one`);
  });
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
