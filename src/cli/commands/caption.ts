import { Command } from 'commander';
import { type DataError, UsageError } from '../../core/index.ts';
import { captions } from '../captions.ts';
import { decodeImages, expandImages } from '../images.ts';
import {
  loadModel,
  type ModelOptions,
  positiveNumber,
  type WritingFlags,
  withJson,
  withModel,
  withSequences,
  withWriting,
  writingOptions,
} from '../options.ts';
import { note, printRecord, withImageProgress } from '../output.ts';
import { type CaptionRecord, captionRecord, RecordFile } from '../record-file.ts';

interface Options extends ModelOptions, WritingFlags {
  readonly json?: boolean;
  readonly prompt?: string;
  readonly bestOf?: number;
  readonly views?: number;
  readonly batchSize: number;
  readonly out?: string;
  readonly skipBad?: boolean;
  readonly numReturnSequences: number;
}

export const caption = withJson(withSequences(withWriting(withModel(new Command('caption')))))
  .description('write a caption for each image')
  .argument('<path...>', 'files, folders, patterns, or - for standard input')
  .option('--prompt <text>', 'the words that captions begin with')
  .option('--best-of <n>', 'write so many and show the one that is likeliest and fits best, by ITC', positiveNumber)
  .option('--views <n>', 'look at so many views of each image, moved by half a patch: up to 4', positiveNumber)
  .option('-b, --batch-size <n>', 'images that are captioned together', positiveNumber, 16)
  .option('-o, --out <file>', 'write JSON lines there; an interrupted run goes on where it stopped')
  .option('--skip-bad', 'leave out images that cannot be read, and count them')
  .action(async (paths: string[], options: Options) => {
    const { out, json, prompt, bestOf, views, batchSize, numReturnSequences } = options;
    if (out !== undefined && numReturnSequences > 1) {
      throw new UsageError(
        'caption: --out keeps one caption of each image; leave out --num-return-sequences, or --out',
      );
    }
    if (out !== undefined && paths.includes('-')) {
      throw new UsageError(
        'caption: --out knows images by their paths, and - has none; name files, or leave out --out',
      );
    }
    const images = await expandImages(paths);
    const { model: named, precision } = options;
    const { signal, ...choices } = writingOptions(options);
    const settings = { model: named, precision, prompt, bestOf, views, ...choices };
    const file = out === undefined ? undefined : await RecordFile.open(out, captionRecord, settings);
    const left = images.filter((image) => !file?.has(image));
    if (file && left.length === 0) {
      note(`${out}: the captions of all ${images.length} images are there already`);
      await file.finish(images);
      return;
    }
    const model = await loadModel(options);
    const print = (record: CaptionRecord) =>
      printRecord(record, json, (r) => (images.length === 1 ? r.caption : `${r.image}: ${r.caption}`));
    const writing = { ...choices, signal, prompt, bestOf, views, batchSize, numReturnSequences };
    let [written, bad] = [0, 0];
    await withImageProgress(left.length, async (advance) => {
      const leaveOut = (error: DataError) => {
        note(error.message);
        bad += 1;
        advance();
      };
      const onBad = options.skipBad ? leaveOut : undefined;
      // The next batch is decoded while one is captioned.
      const decoded = decodeImages(left, { processor: model.files.processor, ahead: 2 * batchSize });
      for await (const record of captions(model, decoded, { ...writing, onBad })) {
        if (file) await file.add(record);
        else print(record);
        written += 1;
        if (written % numReturnSequences === 0) advance();
      }
    });
    const total = await file?.finish(images);
    if (total !== undefined) note(`${total} captions in ${out}`);
    if (bad > 0) note(`${bad} of ${images.length} images were left out`);
  });
