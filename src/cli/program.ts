import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { Blip2Error } from '../core/index.ts';
import { commands } from './commands/index.ts';
import { interruption, watchInterrupts } from './interrupt.ts';
import { watchOutput } from './output.ts';

/** Runs the command line and gives its exit code: 0; 1 the data or the model; 2 the usage; 130 interrupted. */
export async function run(args: readonly string[]): Promise<number> {
  watchOutput();
  watchInterrupts();
  try {
    await program().parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    return report(error, args.includes('--debug'));
  }
}

function program(): Command {
  const { version, description } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const root = new Command('blip2').description(description).version(version).exitOverride();
  root.configureOutput({
    outputError: (text, write) =>
      write(
        `blip2: ${text
          .replace(/^error: /, '')
          .trim()
          .replaceAll('\n', ' ')}\n`,
      ),
  });
  for (const command of commands) {
    prepare(command, root);
    root.addCommand(command);
  }
  return root;
}

/** What all commands have in common, also those below others. */
function prepare(command: Command, parent: Command): void {
  command.copyInheritedSettings(parent).option('--debug', 'show where an error comes from');
  for (const each of command.commands) prepare(each, command);
}

/** One line on stderr, and the exit code. */
function report(error: unknown, debug: boolean): number {
  if (interruption.aborted) {
    process.stderr.write('blip2: interrupted\n');
    return 130;
  }
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // commander has said what is wrong
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`blip2: ${message.replaceAll('\n', ' ')}\n`);
  if (debug && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return error instanceof Blip2Error ? error.exitCode : 1;
}
