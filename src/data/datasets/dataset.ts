import { statSync } from 'node:fs';
import type { z } from 'zod';
import { DataError, UsageError } from '../../core/index.ts';
import { type ImageSource, nameOf } from '../image-source.ts';
import { type OnBad, report } from '../json-lines.ts';

/** An image and its captions, before anything is decoded. */
export interface ImageTextRecord {
  /** Different for every record of a dataset. */
  readonly id: string;
  /** The same for records of the same image: such pairs are no negatives of each other. */
  readonly imageId: string;
  readonly image: ImageSource;
  /** At least one, none empty. */
  readonly captions: readonly string[];
}

/** Records by index. */
export interface Records {
  readonly length: number;
  record(index: number): ImageTextRecord;
}

/** A kind of dataset. */
export interface DatasetType<Options extends z.ZodType = z.ZodType> {
  /** Its options as they stand in a recipe, with its `type`. */
  readonly options: Options;
  /**
   * Checks the options and reads everything but the images. Wrong options throw UsageError. A record that cannot be
   * used throws DataError naming the file, the line or member and the field, or is given to `onBad` and left out.
   */
  open(options: unknown, onBad?: OnBad): Promise<Records>;
}

/** A kind of dataset from its options' schema and what reads it. */
export const defineDataset = <Options extends z.ZodType>(
  options: Options,
  read: (options: z.output<Options>, onBad?: OnBad) => Promise<Records>,
): DatasetType<Options> => ({ options, open: (given, onBad) => read(parseOptions(options, given), onBad) });

function parseOptions<Options extends z.ZodType>(options: Options, given: unknown): z.output<Options> {
  const parsed = options.safeParse(given);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw new UsageError(`${['data', ...path].join('.')}: ${message}`);
}

/** Records that are all in memory. A second one with the same id throws DataError, or is left out. */
export function recordsOf(list: readonly ImageTextRecord[], onBad?: OnBad): Records {
  const byId = new Map<string, ImageTextRecord>();
  for (const record of list) {
    if (byId.has(record.id)) {
      report(new DataError(`${nameOf(record.image)}: the id ${record.id} is already taken by another record`), onBad);
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

/** A value that may be missing, as a list. */
export const oneOrNone = <T>(value: T | undefined): T[] => (value === undefined ? [] : [value]);
