import { type Command, InvalidArgumentError, Option } from 'commander';
import { Blip2, type PrecisionChoice, precisionChoices, type WritingOptions } from '../pipelines/index.ts';
import { devices } from '../runtime/index.ts';
import { downloadProgress } from './download-progress.ts';
import { interruption } from './interrupt.ts';
import { note } from './output.ts';
import { withPartProgress } from './part-progress.ts';

/** Options that several commands share, and what they become. */

export interface ModelOptions {
  readonly model: string;
  readonly device: string;
  readonly threads?: number;
  readonly precision?: PrecisionChoice;
}

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

/** Loads the model that the options name, with a bar while it is downloaded, and while it is quantised. */
export const loadModel = ({ model, device, threads, precision }: ModelOptions): Promise<Blip2> =>
  withPartProgress((onQuantise) =>
    Blip2.fromPretrained(model, {
      device,
      precision,
      ...(threads && { threads }),
      signal: interruption,
      onProgress: downloadProgress(),
      onWait: note,
      onQuantise,
    }),
  );

/** What `withWriting` adds to a command's options. */
export type WritingFlags = Pick<WritingOptions, (typeof writingFlags)[number]>;
const writingFlags = [
  'maxNewTokens',
  'minNewTokens',
  'numBeams',
  'lengthPenalty',
  'earlyStopping',
  'repetitionPenalty',
  'noRepeatNgramSize',
  'stopStrings',
  'doSample',
  'temperature',
  'topK',
  'topP',
  'seed',
] as const;

/** How to write, by transformers' names. */
export const withWriting = (command: Command): Command =>
  command
    .option('-n, --max-new-tokens <n>', 'tokens to write at most', wholeNumber)
    .option('--min-new-tokens <n>', 'tokens to write at least', wholeNumber)
    .option('--num-beams <n>', 'search with so many beams', wholeNumber)
    .option('--length-penalty <p>', 'of beams: above 0 favours long texts', number)
    .addOption(
      new Option(
        '--early-stopping [never]',
        'of beams: stop at enough texts; never: not before none can be better',
      ).choices(['never']),
    )
    .option('--repetition-penalty <p>', 'above 1: less of what is there already', number)
    .addOption(noRepeatNgramSize())
    .option('--stop-strings <text>', 'a text ends before this; may be given again', oneMore)
    .option('--do-sample', 'draw tokens instead of taking the likeliest')
    .option('--temperature <t>', 'of the draws', number)
    .option('--top-k <k>', 'draw from the k likeliest tokens: 50 by default, 0 for all', wholeNumber)
    .option('--top-p <p>', 'draw from the likeliest tokens of total probability p', number)
    .option('-s, --seed <n>', 'of the draws', wholeNumber);

/** Commander takes an option that begins with `--no-` for the negative of another, unless it is told that it is none. */
function noRepeatNgramSize(): Option {
  const option = new Option('--no-repeat-ngram-size <n>', 'no so many tokens twice in a row of a text');
  option.negate = false;
  return option.argParser(wholeNumber);
}

const oneMore = (text: string, before: readonly string[] = []): readonly string[] => [...before, text];

/** Call it once a command: it notes flags that change nothing, because no tokens are drawn. */
export function writingOptions(flags: WritingFlags): WritingOptions {
  const ofDraws = givenFlags(flags, ['temperature', 'topK', 'topP', 'seed']);
  if (!flags.doSample && ofDraws !== '')
    note(`${ofDraws}: without --do-sample no token is drawn, and this has no effect`);
  return { ...Object.fromEntries(writingFlags.map((name) => [name, flags[name]])), signal: interruption };
}

/** Those of the flags that were given, in words: `--top-k, --top-p`. */
export const givenFlags = (flags: WritingFlags, names: readonly (keyof WritingFlags)[] = writingFlags): string =>
  names
    .filter((name) => flags[name] !== undefined)
    .map((name) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`)
    .join(', ');

/** `--num-return-sequences`. */
export const withSequences = (command: Command): Command =>
  command.option('--num-return-sequences <n>', 'so many texts, the best beams or as many draws', positiveNumber, 1);

/** `--json`. */
export const withJson = (command: Command): Command => command.option('--json', 'one JSON object a line');

export function positiveNumber(text: string): number {
  const n = wholeNumber(text);
  if (n > 0) return n;
  throw new InvalidArgumentError('expected a whole number above 0');
}

function wholeNumber(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new InvalidArgumentError('expected a whole number');
}

function number(text: string): number {
  if (text.trim() !== '' && Number.isFinite(Number(text))) return Number(text);
  throw new InvalidArgumentError('expected a number');
}
