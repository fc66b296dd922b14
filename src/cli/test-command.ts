/** The command line as tests start it. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The repository's folder. */
export const root = fileURLToPath(new URL('../../', import.meta.url));

export interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface StartOptions {
  /** What comes on standard input. */
  readonly input?: string | Uint8Array;
  /**
   * Sends SIGINT when this says so, which is asked at every piece of standard output and every tenth of a second.
   * Standard input stays open until then: a command that reads it cannot end before.
   */
  readonly interrupt?: () => boolean;
  /** Environment variables beside those of the test. */
  readonly env?: Readonly<Record<string, string>>;
}

/** The command as a user starts it. */
export function blip2(
  args: readonly string[],
  { input = '', interrupt, env = {} }: StartOptions = {},
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['scripts/start.js', ...args], {
      cwd: root,
      env: { ...process.env, ...env },
    });
    let [stdout, stderr] = ['', ''];
    const look = () => {
      if (interrupt && !child.killed && interrupt()) child.kill('SIGINT');
    };
    const timer = setInterval(look, 100);
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
      look();
    });
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      clearInterval(timer);
      resolve({ code, stdout, stderr });
    });
    if (!interrupt) child.stdin.end(input);
  });
}

/** The records of JSON lines. */
export const rows = (lines: string): Record<string, unknown>[] =>
  lines
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
