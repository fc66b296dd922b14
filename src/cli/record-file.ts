import { appendFile, mkdir, readFile, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { DataError } from '../core/index.ts';
import { writeText } from '../hub/index.ts';

/** What `caption` writes of an image. */
export const captionRecord = z.object({ image: z.string(), caption: z.string(), score: z.number() });
export type CaptionRecord = z.infer<typeof captionRecord>;

/** What `bootstrap` writes: the captions that are kept, best first, and their scores. */
export const bootstrapRecord = z.object({
  image: z.string(),
  image_id: z.string(),
  captions: z.array(z.string()),
  scores: z.array(z.number()),
});
export type BootstrapRecord = z.infer<typeof bootstrapRecord>;

/**
 * A JSONL file of records by image that an interrupted run goes on with: lines are collected in `<file>.partial`, and the
 * file itself appears, or is replaced, when all are there. Images that are in either already need no work again.
 */
export class RecordFile<Item extends { readonly image: string }> {
  readonly #path: string;
  readonly #partial: string;
  readonly #records: Map<string, Item>;

  private constructor(path: string, records: Map<string, Item>) {
    this.#path = path;
    this.#partial = `${path}.partial`;
    this.#records = records;
  }

  /** Throws DataError where the file holds something else than such records. */
  static async open<Item extends { readonly image: string }>(
    path: string,
    schema: z.ZodObject & z.ZodType<Item>,
  ): Promise<RecordFile<Item>> {
    const partial = `${path}.partial`;
    await mkdir(dirname(path), { recursive: true });
    const interrupted = await readLines(partial);
    const begun = parse(schema, partial, interrupted.slice(0, -1)); // what follows the last line break was cut off
    if (interrupted.at(-1) !== '') await writeText(partial, jsonLines(begun));
    const whole = parse(
      schema,
      path,
      (await readLines(path)).filter((line) => line !== ''),
    );
    return new RecordFile(path, new Map([...whole, ...begun].map((each) => [each.image, each])));
  }

  has(image: string): boolean {
    return this.#records.has(image);
  }

  async add(added: Item): Promise<void> {
    this.#records.set(added.image, added);
    await appendFile(this.#partial, jsonLines([added]));
  }

  /** Puts the whole file in place, without the records that are not wanted in it. Returns how many it holds. */
  async finish(isWanted: (record: Item) => boolean = () => true): Promise<number> {
    const wanted = [...this.#records.values()].filter(isWanted);
    await writeText(this.#path, jsonLines(wanted));
    await rm(this.#partial, { force: true });
    return wanted.length;
  }
}

const jsonLines = (records: readonly object[]): string => records.map((r) => `${JSON.stringify(r)}\n`).join('');

async function readLines(file: string): Promise<string[]> {
  try {
    return (await readFile(file, 'utf8')).split('\n');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return [''];
    throw new DataError(`${file}: cannot be read: ${String(cause)}`, { cause });
  }
}

function parse<Item>(schema: z.ZodObject & z.ZodType<Item>, file: string, lines: readonly string[]): Item[] {
  return lines.map((line, i) => {
    const found = schema.safeParse(parseJson(line));
    if (found.success) return found.data;
    const fields = Object.keys(schema.shape).join(', ');
    throw new DataError(`${file}:${i + 1}: expected {${fields}}; name another file, or remove this one`);
  });
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
