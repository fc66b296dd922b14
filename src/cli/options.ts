import { type Command, InvalidArgumentError, Option } from 'commander';
import { Blip2, type PrecisionChoice, precisionChoices, type WritingOptions } from '../pipelines/index.ts';
import { downloadProgress } from './download-progress.ts';
import { interruption } from './interrupt.ts';

/** Options that several commands share, and what they become. */

export interface ModelOptions {
  readonly model: string;
  readonly device: string;
  readonly threads?: number;
  readonly precision?: PrecisionChoice;
}

const devices = ['cpu', 'webgpu', 'cuda', 'coreml', 'dml'];

/** `--precision`. */
export const withPrecision = (command: Command): Command =>
  command.addOption(
    new Option('--precision <p>', 'what linear layers compute in; by default as the model is kept').choices(
      precisionChoices,
    ),
  );

/** `-m`, `--precision`, `--device`, `--threads`. */
export const withModel = (command: Command): Command =>
  withPrecision(command)
    .option('-m, --model <model>', 'a name that `blip2 list` shows, a folder, or a Hugging Face id', 'pocket')
    .addOption(new Option('--device <device>', 'where it runs').choices(devices).default('cpu'))
    .option('-t, --threads <n>', 'threads to compute with', wholeNumber);

/** Loads the model that the options name, with a bar while it is downloaded. */
export const loadModel = ({ model, device, threads, precision }: ModelOptions): Promise<Blip2> =>
  Blip2.fromPretrained(model, {
    device,
    precision,
    ...(threads && { threads }),
    signal: interruption,
    onProgress: downloadProgress(),
  });

export interface WritingFlags {
  readonly maxNewTokens?: number;
  readonly numBeams?: number;
  readonly doSample?: boolean;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly seed?: number;
}

/** How to write, by transformers' names. */
export const withWriting = (command: Command): Command =>
  command
    .option('-n, --max-new-tokens <n>', 'tokens to write at most', wholeNumber)
    .option('--num-beams <n>', 'search with so many beams', wholeNumber)
    .option('--do-sample', 'draw tokens instead of taking the likeliest')
    .option('--temperature <t>', 'of the draws', Number)
    .option('--top-k <k>', 'draw from the k likeliest tokens', wholeNumber)
    .option('--top-p <p>', 'draw from the likeliest tokens of total probability p', Number)
    .option('-s, --seed <n>', 'of the draws', wholeNumber);

export const writingOptions = (flags: WritingFlags): WritingOptions => ({
  maxNewTokens: flags.maxNewTokens,
  numBeams: flags.numBeams,
  doSample: flags.doSample,
  temperature: flags.temperature,
  topK: flags.topK,
  topP: flags.topP,
  seed: flags.seed,
  signal: interruption,
});

/** `--json`. */
export const withJson = (command: Command): Command => command.option('--json', 'one JSON object a line');

function wholeNumber(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new InvalidArgumentError('expected a whole number');
}
