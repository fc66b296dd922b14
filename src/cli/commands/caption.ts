import { Command } from 'commander';
import { DataError, joinRows, type Value } from '../../core/index.ts';
import type { Blip2, CaptionOptions } from '../../pipelines/index.ts';
import { expandImages, imageInput } from '../images.ts';
import { interruption } from '../interrupt.ts';
import {
  loadModel,
  type ModelOptions,
  type WritingFlags,
  withJson,
  withModel,
  withWriting,
  writingOptions,
} from '../options.ts';
import { note, printRecord, withProgress } from '../output.ts';
import { type CaptionRecord, captionRecord, RecordFile } from '../record-file.ts';

interface Options extends ModelOptions, WritingFlags {
  readonly json?: boolean;
  readonly prompt?: string;
  readonly out?: string;
  readonly skipBad?: boolean;
}

/** Images that are captioned together. */
const batchSize = 8;

export const caption = withJson(withWriting(withModel(new Command('caption'))))
  .description('write a caption for each image')
  .argument('<path...>', 'files, folders, patterns, or - for standard input')
  .option('--prompt <text>', 'the words that captions begin with')
  .option('-o, --out <file>', 'write JSON lines there; an interrupted run goes on where it stopped')
  .option('--skip-bad', 'leave out images that cannot be read, and count them')
  .action(async (paths: string[], options: Options) => {
    const images = await expandImages(paths);
    const file = options.out === undefined ? undefined : await RecordFile.open(options.out, captionRecord);
    const left = images.filter((image) => !file?.has(image));
    const model = await loadModel(options);
    const print = (record: CaptionRecord) =>
      printRecord(record, options.json, (r) => (images.length === 1 ? r.caption : `${r.image}: ${r.caption}`));
    let bad = 0;
    await withProgress(left.length, async (advance) => {
      const onBad = (error: DataError) => {
        if (!options.skipBad) throw error;
        note(error.message);
        bad += 1;
        advance();
      };
      const writing = { ...writingOptions(options), prompt: options.prompt };
      for await (const record of captions(model, left, { ...writing, onBad })) {
        if (file) await file.add(record);
        else print(record);
        advance();
      }
    });
    await file?.finish();
    if (bad > 0) note(`${bad} of ${images.length} images were left out`);
  });

/** Captions in the order of the images. A bad image goes to `onBad`, and is left out unless that throws. */
async function* captions(
  model: Blip2,
  images: readonly string[],
  { onBad, ...options }: CaptionOptions & { onBad: (error: DataError) => void },
): AsyncGenerator<CaptionRecord> {
  for (let start = 0; start < images.length; start += batchSize) {
    interruption.throwIfAborted();
    const batch: { image: string; pixels: Value<'float32'> }[] = [];
    for (const image of images.slice(start, start + batchSize)) {
      try {
        batch.push({ image, pixels: await model.preprocess([await imageInput(image)]) });
      } catch (error) {
        if (!(error instanceof DataError)) throw error;
        onBad(error);
      }
    }
    if (batch.length === 0) continue;
    const written = await model.caption(joinRows(batch.map(({ pixels }) => pixels)), options);
    yield* batch.map(({ image }, i) => ({ image, caption: written[i]!.text, score: written[i]!.score }));
  }
}
