import { statSync } from 'node:fs';
import type { z } from 'zod';
import { DataError, UsageError } from '../../core/index.ts';
import { type ImageSource, nameOf } from '../image-source.ts';
import { type OnBad, report } from '../json-lines.ts';

/** An image of a dataset, before anything is decoded. */
export interface ImageRecord {
  /** Different for every record of a dataset. */
  readonly id: string;
  /** The same for records of the same image. */
  readonly imageId: string;
  readonly image: ImageSource;
}

/** An image and its captions. Two records of the same image are no negatives of each other. */
export interface ImageTextRecord extends ImageRecord {
  /** At least one, none empty. */
  readonly captions: readonly string[];
}

/** An answer, and the share of people who gave it. */
export interface WeightedAnswer {
  readonly text: string;
  readonly weight: number;
}

/** A question about an image. `id` is the question's, as submissions name it. */
export interface QuestionRecord extends ImageRecord {
  readonly question: string;
  /** Different answers, their weights adding up to one; none where the split's answers are not public. */
  readonly answers: readonly WeightedAnswer[];
  /** The answers as they were given, each as often as people gave it: what accuracy compares with. */
  readonly references: readonly string[];
  /** What accuracy is told apart by, such as VQAv2's `answer_type`. */
  readonly kind?: string | undefined;
}

/** Records by index. */
export interface Records<Item extends ImageRecord = ImageTextRecord> {
  readonly length: number;
  /** So many records in a row, from the first, belong into one batch, because they are hard to tell apart. Default: 1. */
  readonly together?: number;
  record(index: number): Item;
}

/** A kind of dataset. */
export interface DatasetType<Item extends ImageRecord = ImageTextRecord, Options extends z.ZodType = z.ZodType> {
  /** Its options as they stand in a recipe, with its `type`. */
  readonly options: Options;
  /**
   * Checks the options and reads everything but the images. Wrong options throw UsageError. A record that cannot be
   * used throws DataError naming the file, the line or member and the field, or is given to `onBad` and left out.
   */
  open(options: unknown, onBad?: OnBad): Promise<Records<Item>>;
}

/** A kind of dataset from its options' schema and what reads it. */
export const defineDataset = <Item extends ImageRecord, Options extends z.ZodType>(
  options: Options,
  read: (options: z.output<Options>, onBad?: OnBad) => Promise<Records<Item>>,
): DatasetType<Item, Options> => ({ options, open: (given, onBad) => read(parseOptions(options, given), onBad) });

function parseOptions<Options extends z.ZodType>(options: Options, given: unknown): z.output<Options> {
  const parsed = options.safeParse(given);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw new UsageError(`${['data', ...path].join('.')}: ${message}`);
}

/**
 * Records that are all in memory. A second one with the same id throws DataError naming the picture and `file`, which lists
 * it, or is left out.
 */
export function recordsOf<Item extends ImageRecord>(
  list: readonly Item[],
  onBad?: OnBad,
  file?: string,
): Records<Item> {
  const byId = new Map<string, Item>();
  for (const record of list) {
    if (byId.has(record.id)) {
      const where = [...oneOrNone(file), nameOf(record.image)].join(': ');
      report(new DataError(`${where}: the id ${record.id} is already taken by another record`), onBad);
    } else byId.set(record.id, record);
  }
  const records = [...byId.values()];
  return {
    length: records.length,
    record(index) {
      const record = records[index];
      if (record === undefined) throw new DataError(`record ${index}: the dataset has ${records.length} records`);
      return record;
    },
  };
}

/** An image file that exists and is not empty. Throws DataError naming `where`, which should name the field. */
export function imageFile(path: string, where: string): ImageSource {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found?.isFile()) throw new DataError(`${where}: expected an image file, but there is no ${path}`);
  if (found.size === 0) throw new DataError(`${where}: expected an image, but ${path} is empty`);
  return { kind: 'file', path };
}

/** The captions without white space around them. Throws DataError naming `where` if there is none or one is empty. */
export function checkCaptions(captions: readonly string[], where: string): string[] {
  const trimmed = captions.map((caption) => caption.trim());
  if (trimmed.length === 0) throw new DataError(`${where}: expected at least one caption, found none`);
  if (trimmed.includes('')) throw new DataError(`${where}: expected a caption, found an empty one`);
  return trimmed;
}

/**
 * Answers as people gave them: what of a QuestionRecord depends on them. Equal answers are one, weighted by how many gave
 * it, as LAVIS weighs VQAv2's ten. Where a split's answers are not public, they are absent or null, and the record has
 * none. Throws DataError naming `where` if a list of answers is empty or one of them is.
 */
export function checkAnswers(
  given: readonly string[] | null | undefined,
  where: string,
): Pick<QuestionRecord, 'answers' | 'references'> {
  if (given === null || given === undefined) return { answers: [], references: [] };
  const references = given.map((answer) => answer.trim());
  if (references.length === 0) throw new DataError(`${where}: expected at least one answer, found none`);
  if (references.includes('')) throw new DataError(`${where}: expected an answer, found an empty one`);
  const counts = new Map<string, number>();
  for (const answer of references) counts.set(answer, (counts.get(answer) ?? 0) + 1);
  const answers = [...counts].map(([text, count]) => ({ text, weight: count / references.length }));
  return { answers, references };
}

/** A question without white space around it. Throws DataError naming `where` if nothing is left. */
export function checkQuestion(question: string, where: string): string {
  const trimmed = question.trim();
  if (trimmed === '') throw new DataError(`${where}: expected a question, found an empty one`);
  return trimmed;
}

/** A value that may be missing, as a list. */
export const oneOrNone = <T>(value: T | null | undefined): T[] =>
  value === null || value === undefined ? [] : [value];
