import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { RuntimeError } from '../core/index.ts';
import type { Answered, Asked } from './messages.ts';

export interface ThreadOptions {
  /** What it does, for messages: `image decoder`. */
  readonly name: string;
  /** The module that calls `answerQuestions`: its URL without the extension, which is `.ts` in source and `.js` built. */
  readonly module: URL;
  /** The module's `workerData`. */
  readonly data?: unknown;
}

interface Waiting<Answer> {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

/** A worker thread that answers questions. An idle one does not keep the program alive. */
export class Thread<Question, Answer> {
  readonly #worker: Worker;
  readonly #name: string;
  readonly #waiting = new Map<number, Waiting<Answer>>();
  #failure: Error | undefined;
  #ticket = 0;

  constructor({ name, module, data }: ThreadOptions) {
    this.#name = name;
    this.#worker = new Worker(new URL(`${module}${extension}`), { workerData: data, execArgv: workerArguments });
    this.#worker.unref();
    this.#worker.on('message', (answered: Answered<Answer>) => this.#settle(answered));
    this.#worker.on('error', (cause) =>
      this.#fail(new RuntimeError(`the ${name}'s thread failed: ${cause}`, { cause })),
    );
  }

  /**
   * Asks at once, whatever has not been answered yet. Rejects with an error of the name and message of the one that the thread
   * threw, and with RuntimeError where the thread has ended.
   */
  ask(question: Question): Promise<Answer> {
    const ticket = this.#ticket++;
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure);
      this.#waiting.set(ticket, { resolve, reject });
      this.#worker.ref();
      this.#worker.postMessage({ ticket, question } satisfies Asked<Question>);
    });
  }

  /** Ends the thread; what is still waited for is rejected. */
  async close(): Promise<void> {
    this.#fail(new RuntimeError(`the ${this.#name} was closed`));
    await this.#worker.terminate();
  }

  #settle(answered: Answered<Answer>): void {
    const waiting = this.#waiting.get(answered.ticket);
    if (!waiting) return; // closed since it was asked: the program stays alive until the thread has ended
    this.#waiting.delete(answered.ticket);
    if (this.#waiting.size === 0) this.#worker.unref();
    if ('answer' in answered) waiting.resolve(answered.answer);
    else waiting.reject(Object.assign(new Error(answered.error.message), { name: answered.error.name }));
  }

  /** Rejects what is waited for, and whatever is asked for later. */
  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

const extension = extname(import.meta.url);
const workerArguments = extension === '.ts' ? ['--import', typescriptLoader()] : [];

/** A module that lets a worker run from source: a worker does not inherit the program's loader, and `tsx` skips it. */
function typescriptLoader(): string {
  const source = `import { register } from '${import.meta.resolve('tsx/esm/api')}'; register();`;
  return `data:text/javascript,${encodeURIComponent(source)}`;
}
