import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';

/** What makes glibc ask for huge pages; it reads that once, when a process starts. */
const setting = 'glibc.malloc.hugetlb=1';

/** The commands that compute with a model. Training stays in the process that was started, which may be killed. */
const commands = new Set(['ask', 'caption', 'chat', 'embed', 'index', 'match', 'search']);

/**
 * Starts the program anew with memory in pages of 2 MB, where Linux gives them to those who ask, and gives its exit code.
 * A language model reads all of its weights for every token; in pages of 4 KB that takes a third longer
 * (docs/performance.md). Undefined where there is nothing to gain, or it has been done.
 */
export function runWithHugePages(args: readonly string[]): Promise<number | undefined> {
  if (process.env.GLIBC_TUNABLES?.includes(setting)) {
    // Started by the lines below: nobody is left to read what this process would write.
    process.on('disconnect', () => process.exit(130)).channel?.unref();
    return Promise.resolve(undefined);
  }
  if (!commands.has(args[0] ?? '') || !isOffered()) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
      env: hugePagesEnvironment(),
      stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    });
    // A terminal's Ctrl-C reaches both processes, as SIGINT; what only this one was sent arrives as SIGTERM (interrupt.ts).
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill('SIGTERM'));
    child.on('error', () => resolve(undefined));
    child.on('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal!]));
  });
}

/** The environment of a process that asks for huge pages. */
export function hugePagesEnvironment(): NodeJS.ProcessEnv {
  const { GLIBC_TUNABLES: others } = process.env;
  return { ...process.env, GLIBC_TUNABLES: others ? `${others}:${setting}` : setting };
}

/** Whether Linux gives huge pages to whoever asks for them, and to no one else. */
export function isOffered(): boolean {
  try {
    return readFileSync('/sys/kernel/mm/transparent_hugepage/enabled', 'utf8').includes('[madvise]');
  } catch {
    return false; // another system
  }
}
