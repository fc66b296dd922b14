import { dirname, relative } from 'node:path';
import { z } from 'zod';
import { DataError, type Value } from '../core/index.ts';
import { datasetConfig, groupByImage, type ImageTextRecord, Loader, nameOf, openDataset } from '../data/index.ts';
import type { ImageProcessor } from '../image/index.ts';
import { Blip2, bootstrapCaptions } from '../pipelines/index.ts';
import { type BootstrapRecord, bootstrapRecord, RecordFile } from './record-file.ts';

/** What is captioned, by what, and what is kept; in LAVIS's words where it has one. */
export const bootstrapRecipe = z.strictObject({
  task: z.literal('bootstrap'),
  /** The model that writes: a folder, a name that `blip2 list` shows, or a Hugging Face id. */
  model: z.string(),
  /** The model that scores; absent: the same. */
  filter: z.string().optional(),
  data: z.strictObject({ train: z.array(datasetConfig).min(1) }),
  run: z.strictObject({
    /** The JSON lines, which the dataset `jsonl` reads. */
    output: z.string(),
    seed: z.int().nonnegative().default(42),
    batch_size_eval: z.int().positive().default(16),
    /** How many captions are drawn for each picture, by nucleus sampling. */
    candidates: z.int().nonnegative().default(10),
    top_p: z.number().positive().max(1).default(0.9),
    temperature: z.number().positive().default(1),
    max_len: z.int().positive().default(30),
    min_len: z.int().nonnegative().default(1),
    /** The words that captions begin with; they are not part of them. */
    prompt: z.string().default(''),
    score: z.enum(['itc', 'itm']).default('itc'),
    /** How many captions of each picture are kept, those that it came with among them. */
    keep: z.int().positive().default(2),
    /** No caption with a lower score is kept, and no picture without a caption. */
    threshold: z.number().optional(),
    threads: z.int().positive().optional(),
  }),
});
export type BootstrapRecipe = z.output<typeof bootstrapRecipe>;

export interface BootstrapOptions {
  readonly onProgress?: (done: number, total: number) => void;
  /** Leaves out records and pictures that cannot be used, instead of throwing. */
  readonly onSkip?: ((error: DataError) => void) | undefined;
  readonly signal?: AbortSignal;
}

/**
 * Writes new captions for the pictures of datasets. An interrupted run goes on where it stopped. Returns how many pictures
 * there are and how many are in the file. Throws DataError naming what cannot be used, what `Blip2.fromPretrained` throws,
 * and the signal's reason.
 */
export async function bootstrap(
  recipe: BootstrapRecipe,
  options: BootstrapOptions = {},
): Promise<{ pictures: number; kept: number }> {
  const { model, filter = model, data, run } = recipe;
  const { signal, onSkip, onProgress } = options;
  const skipping = onSkip ? { skipBad: true, onSkip } : {};
  const datasets = await Promise.all(data.train.map((d) => openDataset(d, skipping)));
  const pictures = datasets.flatMap(groupByImage); // each by itself: another dataset may have the same ids
  const { output, threads, ...choices } = run;
  const file = await RecordFile.open(output, bootstrapRecord, { model, filter, ...choices });
  const names = pictures.map((picture) => nameIn(output, picture));
  const left = pictures.filter((_, i) => !file.has(names[i]!));
  const loading = { ...(threads && { threads }), ...(signal && { signal }) };
  const writer = await Blip2.fromPretrained(model, loading);
  const scorer = filter === model ? writer : await Blip2.fromPretrained(filter, loading);
  try {
    let done = 0;
    for await (const batch of batchesOf(left, { processor: writer.files.processor, run, skipping, signal })) {
      for (const record of await captionBatch(batch, { writer, scorer, run, signal })) await file.add(record);
      done += batch.pictures.length;
      onProgress?.(done, left.length);
    }
  } finally {
    await Promise.all([...new Set([writer, scorer])].map((each) => each.release()));
  }
  return { pictures: pictures.length, kept: await file.finish(names, ({ captions }) => captions.length > 0) };
}

interface PictureBatch {
  readonly pictures: readonly ImageTextRecord[];
  /** [B, 3, H, W] */
  readonly pixelValues: Value<'float32'>;
}

interface BatchOptions {
  readonly processor: ImageProcessor;
  readonly run: BootstrapRecipe['run'];
  readonly skipping: { skipBad?: boolean; onSkip?: (error: DataError) => void };
  readonly signal: AbortSignal | undefined;
}

/** The pictures in order, decoded in a thread of their own. */
async function* batchesOf(
  pictures: readonly ImageTextRecord[],
  { processor, run, skipping, signal }: BatchOptions,
): AsyncGenerator<PictureBatch> {
  if (pictures.length === 0) return;
  const records = { length: pictures.length, record: (i: number) => pictures[i]! };
  const { batch_size_eval: batchSize, seed } = run;
  const loader = new Loader(records, { batchSize, seed, shuffle: false, processor, ...skipping });
  try {
    for await (const batch of loader.batches(undefined, { epochs: 1, ...(signal && { signal }) })) {
      yield { pictures: batch.indices.map((i) => pictures[i]!), pixelValues: batch.pixelValues };
    }
  } finally {
    await loader.close();
  }
}

interface Models {
  readonly writer: Blip2;
  readonly scorer: Blip2;
  readonly run: BootstrapRecipe['run'];
  readonly signal: AbortSignal | undefined;
}

async function captionBatch(
  { pictures, pixelValues }: PictureBatch,
  { writer, scorer, run, signal }: Models,
): Promise<BootstrapRecord[]> {
  const images = await writer.encodeImages(pixelValues);
  const scored = scorer === writer ? images : await scorer.encodeImages(pictures.map(fileOf));
  const kept = await bootstrapCaptions(
    {
      writer: { model: writer, images },
      filter: { model: scorer, images: scored },
      given: pictures.map(({ captions }) => captions),
    },
    {
      candidates: run.candidates,
      score: run.score,
      keep: run.keep,
      threshold: run.threshold,
      prompt: run.prompt,
      seed: run.seed,
      topP: run.top_p,
      temperature: run.temperature,
      maxNewTokens: run.max_len,
      minNewTokens: run.min_len,
      signal,
    },
  );
  return pictures.map((picture, i) => ({
    image: nameIn(run.output, picture),
    image_id: picture.imageId,
    captions: kept[i]!.map(({ text }) => text),
    scores: kept[i]!.map(({ score }) => score),
  }));
}

/** A picture's name in the output, relative to it, as the dataset `jsonl` reads it. */
const nameIn = (output: string, picture: ImageTextRecord): string => relative(dirname(output), fileOf(picture));

function fileOf({ image }: ImageTextRecord): string {
  if (image.kind === 'file') return image.path;
  throw new DataError(`${nameOf(image)}: expected a picture in a file of its own, which a list of captions can name`);
}
