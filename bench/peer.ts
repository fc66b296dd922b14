/** Peers are Python programs that answer one line of JSON for each line they read: bench/peers. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { RuntimeError } from '../src/core/index.ts';

const requirements = join(import.meta.dirname, 'requirements.txt');
const root = join(import.meta.dirname, '..');
const cache = join(root, '.cache');
const environment = join(cache, 'bench-venv');

/** Ours, by the modules in bench/workers. */
type WorkerName = 'caption' | 'folder' | 'leak';

/** A running peer. */
export class Peer {
  readonly #process: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  readonly #script: string;

  private constructor(script: string, command: string, args: readonly string[]) {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#script = script;
    this.#process = child;
    this.#answers = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  }

  /** Starts bench/peers/`script` with its settings. */
  static start(script: string, settings: object): Peer {
    return new Peer(script, python(), [join(import.meta.dirname, 'peers', script), JSON.stringify(settings)]);
  }

  /** Starts bench/workers/`name`, built: ours, in a process of its own, whose memory is its own as well. */
  static ours(name: WorkerName, settings: object): Peer {
    return new Peer(name, process.execPath, [builtWorker(name), JSON.stringify(settings)]);
  }

  /** The peer's answer to a command: numbers by name. Throws RuntimeError where it has ended. */
  async ask(command: string): Promise<Record<string, number>> {
    this.#process.stdin!.write(`${command}\n`);
    const { done, value } = await this.#answers.next();
    if (done) throw new RuntimeError(`bench: ${this.#script} ended without an answer to "${command}"`);
    return JSON.parse(value);
  }

  /** Ends the peer and waits until its memory is free. */
  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.stdin!.end();
    if (this.#process.exitCode === null) await ended;
  }
}

/** The interpreter of an environment with bench/requirements.txt, which is made on first use (some 6 GB, for PyTorch). */
function python(): string {
  const installed = join(environment, 'requirements.txt');
  const interpreter = join(environment, 'bin', 'python');
  if (existsSync(installed) && readFileSync(installed).equals(readFileSync(requirements))) return interpreter;
  process.stderr.write(`installing the peers of bench/requirements.txt into ${environment} …\n`);
  rmSync(environment, { recursive: true, force: true });
  const stdio = ['ignore', 2, 2] as const; // stdout is for results
  execFileSync('python3', ['-m', 'venv', environment], { stdio: [...stdio] });
  execFileSync(interpreter, ['-m', 'pip', 'install', '--quiet', '-r', requirements], { stdio: [...stdio] });
  copyFileSync(requirements, installed); // last: it says that the rest is there
  return interpreter;
}

const built = join(cache, 'bench-built');
let isBuilt = false;

/** A worker as it would be installed: as JavaScript, without the loader of sources. All are built on first use (a second). */
function builtWorker(name: WorkerName): string {
  if (!isBuilt) {
    const options = [
      '--no-config',
      '--unbundle',
      '--no-dts',
      '--platform',
      'node',
      '--target',
      'node20',
      '--logLevel',
      'warn',
    ];
    const entries = ['bench/workers/*.ts', 'src/*/*-worker.ts'];
    execFileSync('npx', ['tsdown', ...options, '--out-dir', built, ...entries], { cwd: root, stdio: ['ignore', 2, 2] });
    isBuilt = true;
  }
  return join(built, 'bench', 'workers', `${name}.mjs`);
}
