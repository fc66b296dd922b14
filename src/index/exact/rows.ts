import { open, readFile, stat } from 'node:fs/promises';
import { z } from 'zod';
import { DataError } from '../../core/index.ts';
import { writeText } from '../../hub/index.ts';
import type { Picture } from '../vector-index.ts';

const change = z.object({
  row: z.int().nonnegative(),
  picture: z.object({ id: z.string(), path: z.string(), file: z.string() }).nullable(),
});

/** From now on this picture stands in this row, or none. */
export type Change = z.infer<typeof change>;

/**
 * Which picture stands in which row of an index's files: a journal of one JSON line a change, in which a row's last line
 * counts. What follows the last line break was being written when a process ended, and never happened.
 */
export class Rows {
  readonly #file: string;
  readonly #pictures: (Picture | null)[] = [];
  readonly #rowOf = new Map<string, number>();
  /** Of the journal as this process knows it. */
  #bytes: number;
  /** Whether the journal has one line a row. */
  #isShort: boolean;

  private constructor(file: string, text: string) {
    this.#file = file;
    const lines = text.split('\n').slice(0, -1);
    for (const [i, line] of lines.entries()) this.#apply(parseLine(line, `${file}:${i + 1}`));
    this.#bytes = Buffer.byteLength(text);
    this.#isShort = text === this.#shortest();
  }

  /** Throws DataError naming the line that is damaged. */
  static async open(file: string): Promise<Rows> {
    return new Rows(file, await readFile(file, 'utf8'));
  }

  /** Rows that the index's files have, empty ones included. */
  get length(): number {
    return this.#pictures.length;
  }

  /** Rows that a picture stands in. */
  get size(): number {
    return this.#rowOf.size;
  }

  /** The pictures, by row. */
  *entries(): Generator<readonly [row: number, picture: Picture]> {
    for (const [row, picture] of this.#pictures.entries()) if (picture) yield [row, picture];
  }

  at(row: number): Picture | undefined {
    return this.#pictures[row] ?? undefined;
  }

  rowOf(id: string): number | undefined {
    return this.#rowOf.get(id);
  }

  /** Rows for so many new pictures: empty ones, then new ones. */
  free(count: number): number[] {
    const empty = [...this.#pictures.keys()].filter((row) => !this.#pictures[row]);
    return Array.from({ length: count }, (_, i) => empty[i] ?? this.length + i - empty.length);
  }

  /**
   * Before anything is changed: throws DataError where another process has changed the index since it was opened, and
   * clears the journal of lines that count no more.
   */
  async prepare(): Promise<void> {
    const { size } = await stat(this.#file);
    if (size !== this.#bytes) {
      throw new DataError(`${this.#file}: another process has changed this index; wait for it, and run this again`);
    }
    if (this.#isShort) return;
    const text = this.#shortest();
    await writeText(this.#file, text);
    this.#bytes = Buffer.byteLength(text);
    this.#isShort = true;
  }

  /** Writes changes down; when this resolves they are on disk. */
  async record(changes: readonly Change[]): Promise<void> {
    const lines = jsonLines(changes);
    const journal = await open(this.#file, 'a');
    try {
      await journal.writeFile(lines);
      await journal.sync();
    } finally {
      await journal.close();
    }
    this.#bytes += Buffer.byteLength(lines);
    for (const each of changes) this.#apply(each);
  }

  #shortest(): string {
    return jsonLines(this.#pictures.map((picture, row) => ({ row, picture })));
  }

  #apply({ row, picture }: Change): void {
    const before = this.#pictures[row];
    if (before) this.#rowOf.delete(before.id);
    while (this.length < row) this.#pictures.push(null);
    this.#pictures[row] = picture;
    if (picture) this.#rowOf.set(picture.id, row);
  }
}

const jsonLines = (changes: readonly Change[]): string => changes.map((each) => `${JSON.stringify(each)}\n`).join('');

function parseLine(line: string, where: string): Change {
  try {
    return change.parse(JSON.parse(line));
  } catch (cause) {
    throw new DataError(`${where}: expected a change of an index, found ${JSON.stringify(line.slice(0, 80))}`, {
      cause,
    });
  }
}
