import { createInterface } from 'node:readline';
import { Command } from 'commander';
import { UsageError } from '../../core/index.ts';
import type { Chat } from '../../pipelines/index.ts';
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
import { note, printRecord } from '../output.ts';

interface Options extends ModelOptions, WritingFlags {
  readonly json?: boolean;
}

export const chat = withJson(withWriting(withModel(new Command('chat'))))
  .description('ask a model of stage 2 one question after another about an image')
  .argument('<image>', 'a file; questions are typed, or come one a line on standard input')
  .action(async (image: string, options: Options) => {
    if (image === '-') throw new UsageError('chat: expected a file: standard input is for the questions');
    const writing = writingOptions(options);
    const model = await loadModel(options);
    const conversation = model.chat(image);
    let refused = 0;
    for await (const question of questions()) {
      const pieces = conversation.ask(question, writing);
      try {
        if (options.json) await printTurn(conversation, pieces, image);
        else await printPieces(pieces);
      } catch (error) {
        if (!(error instanceof UsageError)) throw error;
        note(error.message); // it is too long: another may be asked
        refused += 1;
      }
    }
    interruption.throwIfAborted();
    if (refused > 0 && conversation.turns.length === 0) {
      throw new UsageError(`chat: none of ${refused} questions could be asked`);
    }
  });

/** What is typed after a prompt on the terminal, or the lines of standard input; blank ones are left out. */
async function* questions(): AsyncGenerator<string> {
  const terminal = process.stdin.isTTY;
  const lines = createInterface({
    input: process.stdin,
    ...(terminal && { output: process.stderr, prompt: '> ' }),
    signal: interruption,
  });
  lines.on('SIGINT', () => process.emit('SIGINT')); // a terminal's Ctrl-C comes here
  if (terminal) lines.prompt();
  for await (const line of lines) {
    if (line.trim() !== '') yield line.trim();
    if (terminal) lines.prompt();
  }
}

async function printPieces(pieces: AsyncIterable<string>): Promise<void> {
  for await (const piece of pieces) process.stdout.write(piece);
  process.stdout.write('\n');
}

async function printTurn(conversation: Chat, pieces: AsyncIterable<string>, image: string): Promise<void> {
  for await (const _ of pieces); // the whole answer is a turn of the conversation
  printRecord({ image, ...conversation.turns.at(-1)! }, true, ({ answer }) => answer);
}
