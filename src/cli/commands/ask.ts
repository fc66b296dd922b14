import { Command } from 'commander';
import { UsageError } from '../../core/index.ts';
import { imageInput } from '../images.ts';
import {
  givenFlags,
  loadModel,
  type ModelOptions,
  type WritingFlags,
  withJson,
  withModel,
  withSequences,
  withWriting,
  writingOptions,
} from '../options.ts';
import { printRecord } from '../output.ts';
import { readLines } from '../read-lines.ts';

interface Options extends ModelOptions, WritingFlags {
  readonly json?: boolean;
  readonly candidates?: string;
  readonly raw?: boolean;
  readonly numReturnSequences: number;
}

export const ask = withJson(withSequences(withWriting(withModel(new Command('ask')))))
  .description('ask a model of stage 2 a question about an image')
  .argument('<image>', 'a file, or - for standard input')
  .argument('<question>')
  .option('--candidates <file>', 'choose the likeliest of these answers, one a line')
  .option('--raw', 'leave out the words that the model expects around a question')
  .action(async (image: string, question: string, options: Options) => {
    const ofWriting = givenFlags(options);
    if (options.candidates !== undefined && ofWriting !== '') {
      throw new UsageError(`ask: --candidates chooses and writes nothing: leave it out, or ${ofWriting}`);
    }
    const candidates = options.candidates === undefined ? undefined : await readLines(options.candidates);
    const model = await loadModel(options);
    const answers = await model.answers(await imageInput(image), question, {
      ...writingOptions(options),
      candidates,
      raw: options.raw,
      numReturnSequences: options.numReturnSequences,
    });
    for (const { text, score } of answers) {
      printRecord({ image, question, answer: text, score }, options.json, ({ answer }) => answer);
    }
  });
