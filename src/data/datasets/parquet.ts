import { z } from 'zod';
import { DataError } from '../../core/index.ts';
import { checkRow, keepGood, type OnBad, report } from '../json-lines.ts';
import { ParquetFile, type ParquetRow } from '../parquet-file.ts';
import {
  checkAnswers,
  checkCaptions,
  checkQuestion,
  defineDataset,
  type ImageRecord,
  type QuestionRecord,
  recordsOf,
} from './dataset.ts';
import { expandBraces } from './expand-braces.ts';

const common = z.strictObject({
  type: z.literal('parquet'),
  /** A file, or shards as `train-{00000..00038}-of-00039.parquet`. */
  path: z.string(),
  /** The column of pictures: bytes, paths relative to the shard, or Hugging Face's structure of both. */
  image: z.string().default('image'),
  /** The columns that name the record and the picture; absent: every row is a record and a picture of its own. */
  id: z.string().optional(),
  image_id: z.string().optional(),
});

const word = z.union([z.string(), z.number(), z.bigint()]).transform(String);
const texts = z.union([z.string(), z.array(z.string())]).transform((found) => [found].flat());

/** Captions in Parquet shards of a Hugging Face data set: a column of texts or of lists of them. */
export const parquet = defineDataset(
  common.extend({ caption: z.string().default('caption') }),
  async (options, onBad) => {
    const records = await readShards(options, [options.caption], {
      make: ({ row, where, ...record }) => ({
        ...record,
        captions: checkCaptions(
          cell(row, options.caption, { schema: texts, where }),
          `${where}: field ${options.caption}`,
        ),
      }),
      onBad,
    });
    return recordsOf(records, onBad);
  },
);

const answerTexts = z
  .union([z.string(), z.array(z.string()), z.array(z.object({ answer: z.string() }))])
  .transform((found) => [found].flat().map((each) => (typeof each === 'string' ? each : each.answer)))
  .nullish();

/**
 * Questions in Parquet shards: the answers are a text, a list, or a list of VQAv2's structures with `answer`. Where they
 * are not public, they are null, or there is no such column; one that the recipe names has to be there.
 */
export const parquetQuestions = defineDataset(
  common.extend({
    question: z.string().default('question'),
    answers: z.string().optional(),
    kind: z.string().optional(),
  }),
  async (options, onBad) => {
    const { question, answers = 'answers', kind } = options;
    const named = [question, options.answers, kind].filter((name) => name !== undefined);
    const records = await readShards(options, named, {
      ifThere: [answers],
      make: ({ row, where, ...record }): QuestionRecord => ({
        ...record,
        question: checkQuestion(cell(row, question, { schema: z.string(), where }), `${where}: field ${question}`),
        ...checkAnswers(cell(row, answers, { schema: answerTexts, where }), `${where}: field ${answers}`),
        kind: kind && (cell(row, kind, { schema: z.string().nullish(), where }) ?? undefined),
      }),
      onBad,
    });
    return recordsOf(records, onBad);
  },
);

const cell = <T>(row: ParquetRow, column: string, { schema, where }: { schema: z.ZodType<T>; where: string }): T =>
  checkRow(row[column], schema, `${where}: field ${column}`);

/** A row, and what of its record is the same for captions and questions. */
interface Found extends ImageRecord {
  readonly row: ParquetRow;
  readonly where: string;
}

interface ReadOptions<Item> {
  readonly make: (found: Found) => Item;
  /** Columns that are read where a shard has them. */
  readonly ifThere?: readonly string[];
  readonly onBad: OnBad | undefined;
}

/** The records of all shards; the pictures stay where they are. A damaged shard is bad as a whole. */
async function readShards<Item>(
  options: z.output<typeof common>,
  columns: readonly string[],
  { make, ifThere = [], onBad }: ReadOptions<Item>,
): Promise<Item[]> {
  const records: Item[] = [];
  for (const shard of expandBraces(options.path)) {
    const wanted = [...columns, options.id, options.image_id].filter((name) => name !== undefined);
    for (const [i, row] of (await readRows(shard, { image: options.image, wanted, ifThere }, onBad)).entries()) {
      records.push(...keepGood(() => make(locate(row, { shard, i, options })), onBad));
    }
  }
  return records;
}

/** The columns of a shard: the picture's and the wanted ones have to be there, some are read where they are. */
interface Columns {
  readonly image: string;
  readonly wanted: readonly string[];
  readonly ifThere: readonly string[];
}

/** The shard's rows without their pictures; none where it is damaged. */
async function readRows(shard: string, { image, wanted, ifThere }: Columns, onBad?: OnBad): Promise<ParquetRow[]> {
  try {
    const file = await ParquetFile.open(shard);
    const missing = [image, ...wanted].find((column) => !file.columns.includes(column));
    const read = [...wanted, ...ifThere].filter((column) => file.columns.includes(column));
    if (missing === undefined) return await file.rows([...new Set(read)]);
    throw new DataError(`${shard}: expected a column ${missing}, found ${file.columns.join(', ')}`);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    report(error, onBad);
    return [];
  }
}

function locate(
  row: ParquetRow,
  { shard, i, options }: { shard: string; i: number; options: z.output<typeof common> },
): Found {
  const where = `${shard}: row ${i}`;
  const id = options.id ? cell(row, options.id, { schema: word, where }) : where;
  const imageId = options.image_id ? cell(row, options.image_id, { schema: word, where }) : id;
  return { row, where, id, imageId, image: { kind: 'parquet', path: shard, column: options.image, row: i } };
}
