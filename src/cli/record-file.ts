import { appendFile, mkdir, readFile, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { DataError, UsageError } from '../core/index.ts';
import { outputTarget, writeText } from '../hub/index.ts';

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

/** What records depend on, by the names of the options or of the recipe's keys. */
export type Settings = Readonly<Record<string, unknown>>;

/**
 * A JSONL file of records by image that an interrupted run goes on with: lines are collected in `<file>.partial`, under a
 * line with the run's settings, and the file itself appears, or is replaced, when all are there; its settings are then in
 * `<file>.settings`. Images that are in either already need no work again. A pipe or a device gets all lines at the end.
 */
export class RecordFile<Item extends { readonly image: string }> {
  readonly #path: string;
  /** None beside a pipe or a device. */
  readonly #partial: string | undefined;
  readonly #records: Map<string, Item>;
  /** The first line of what is begun. */
  readonly #header: { readonly settings: Settings };
  #isHeaderWritten: boolean;

  private constructor(
    { path, partial }: { path: string; partial?: string },
    records: Map<string, Item>,
    { settings, isWritten }: { settings: Settings; isWritten: boolean },
  ) {
    this.#path = path;
    this.#partial = partial;
    this.#records = records;
    this.#header = { settings };
    this.#isHeaderWritten = isWritten;
  }

  /**
   * Throws DataError where the file holds something else than such records, UsageError where it was begun with other
   * settings, or is a folder.
   */
  static async open<Item extends { readonly image: string }>(
    path: string,
    schema: z.ZodObject & z.ZodType<Item>,
    settings: Settings,
  ): Promise<RecordFile<Item>> {
    if ((await outputTarget(path)) === 'stream')
      return new RecordFile({ path }, new Map(), { settings, isWritten: false });
    const partial = `${path}.partial`;
    await mkdir(dirname(path), { recursive: true });
    const interrupted = (await readLines(partial)).slice(0, -1); // what follows the last line break was cut off
    const [first, ...lines] = interrupted;
    if (first !== undefined) checkSettings(partial, { where: `${partial}:1`, text: first }, settings);
    const begun = parse(schema, partial, lines, 2);
    if (first !== undefined) await writeText(partial, jsonLines([{ settings }, ...begun]));
    const finished = (await readLines(path)).filter((line) => line !== '');
    const kept = settingsFile(path);
    const [text = ''] = finished.length > 0 ? await readLines(kept) : [];
    if (text !== '') checkSettings(path, { where: kept, text }, settings);
    const whole = parse(schema, path, finished);
    const records = new Map([...whole, ...begun].map((each) => [each.image, each]));
    return new RecordFile({ path, partial }, records, { settings, isWritten: first !== undefined });
  }

  has(image: string): boolean {
    return this.#records.has(image);
  }

  async add(added: Item): Promise<void> {
    this.#records.set(added.image, added);
    if (this.#partial === undefined) return;
    await appendFile(this.#partial, jsonLines(this.#isHeaderWritten ? [added] : [this.#header, added]));
    this.#isHeaderWritten = true;
  }

  /**
   * Puts the whole file in place, without the records that are not wanted in it: what it held of other images, then these
   * in their order. Returns how many it holds.
   */
  async finish(images: readonly string[], isWanted: (record: Item) => boolean = () => true): Promise<number> {
    const placeOf = new Map(images.map((image, i) => [image, i]));
    const place = ({ image }: Item): number => placeOf.get(image) ?? -1;
    const wanted = [...this.#records.values()].filter(isWanted).toSorted((a, b) => place(a) - place(b));
    await writeText(this.#path, jsonLines(wanted));
    if (this.#partial !== undefined) {
      await writeText(settingsFile(this.#path), jsonLines([this.#header]));
      await rm(this.#partial, { force: true });
    }
    return wanted.length;
  }
}

const settingsFile = (path: string): string => `${path}.settings`;

const jsonLines = (records: readonly object[]): string => records.map((r) => `${JSON.stringify(r)}\n`).join('');

async function readLines(file: string): Promise<string[]> {
  try {
    return (await readFile(file, 'utf8')).split('\n');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return [''];
    throw new DataError(`${file}: cannot be read: ${String(cause)}`, { cause });
  }
}

/** Throws UsageError where a file was begun with other settings than these. */
function checkSettings(file: string, kept: { where: string; text: string }, settings: Settings): void {
  const parsed = z.object({ settings: z.record(z.string(), z.unknown()) }).safeParse(parseJson(kept.text));
  if (!parsed.success) throw new DataError(`${kept.where}: expected the settings of a run; remove ${file}`);
  const begun = parsed.data.settings;
  for (const key of new Set([...Object.keys(begun), ...Object.keys(settings)])) {
    const [before, now] = [begun[key], settings[key]].map((each) => JSON.stringify(each) ?? 'nothing');
    if (before === now) continue;
    throw new UsageError(
      `${file} was begun with ${key} ${before}, not ${now}: go on with what it was begun with, remove it, or name another file`,
    );
  }
}

function parse<Item>(
  schema: z.ZodObject & z.ZodType<Item>,
  file: string,
  lines: readonly string[],
  firstLine = 1,
): Item[] {
  return lines.map((line, i) => {
    const found = schema.safeParse(parseJson(line));
    if (found.success) return found.data;
    const fields = Object.keys(schema.shape).join(', ');
    throw new DataError(`${file}:${i + firstLine}: expected {${fields}}; name another file, or remove this one`);
  });
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
