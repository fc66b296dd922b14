import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { DataError, RuntimeError } from '../core/index.ts';
import type { ImageProcessor, RawImage } from '../image/index.ts';
import type { ImageSource } from './image-source.ts';

/** What all tasks of a pool share. */
export interface DecodeSettings {
  readonly processor: ImageProcessor;
  /** Of the draws to augment with. */
  readonly seed: number;
  /** Turn pictures as their EXIF orientation says. Default: false. */
  readonly exifRotate?: boolean;
}

export interface DecodeTask {
  readonly ticket: number;
  readonly source: ImageSource;
  /** The path of the random draws to augment with; none: no augmentation. */
  readonly augment: readonly number[] | undefined;
}

export type DecodeReply =
  | { readonly ticket: number; readonly image: RawImage }
  | { readonly ticket: number; readonly error: { readonly message: string; readonly isData: boolean } };

interface Waiting {
  resolve(image: RawImage): void;
  reject(error: Error): void;
}

/** Threads that decode images, so that the thread that computes never waits for them. */
export class DecodePool {
  readonly #workers: Worker[];
  readonly #waiting = new Map<number, Waiting>();
  #failure: Error | undefined;
  #ticket = 0;

  constructor(settings: DecodeSettings, threads: number) {
    this.#workers = Array.from({ length: threads }, () => this.#start(settings));
  }

  /** The image as the model sees it. Rejects with DataError naming the image where it cannot be used. */
  load(source: ImageSource, augment?: readonly number[]): Promise<RawImage> {
    const ticket = this.#ticket++;
    const worker = this.#workers[ticket % this.#workers.length]!;
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure);
      this.#waiting.set(ticket, { resolve, reject });
      for (const each of this.#workers) each.ref();
      worker.postMessage({ ticket, source, augment } satisfies DecodeTask);
    });
  }

  /** Ends the threads; what is still waited for is rejected. */
  async close(): Promise<void> {
    this.#fail(new RuntimeError('the image decoder was closed'));
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #start(settings: DecodeSettings): Worker {
    const worker = new Worker(workerFile, { workerData: settings, execArgv: workerArguments });
    worker.unref(); // an idle pool does not keep the program alive
    worker.on('message', (reply: DecodeReply) => this.#settle(reply));
    worker.on('error', (cause) => this.#fail(new RuntimeError(`an image decoder thread failed: ${cause}`, { cause })));
    return worker;
  }

  #settle(reply: DecodeReply): void {
    const waiting = this.#waiting.get(reply.ticket);
    this.#waiting.delete(reply.ticket);
    if (this.#waiting.size === 0) for (const worker of this.#workers) worker.unref();
    if ('image' in reply) waiting?.resolve(reply.image);
    else waiting?.reject(new (reply.error.isData ? DataError : RuntimeError)(reply.error.message));
  }

  /** Rejects what is waited for, and whatever is asked for later. */
  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

// The worker stands beside this file, in source and built.
const extension = extname(import.meta.url);
const workerFile = new URL(`./decode-worker${extension}`, import.meta.url);
const workerArguments = extension === '.ts' ? ['--import', typescriptLoader()] : [];

/** A module that lets a worker run from source: a worker does not inherit the program's loader, and `tsx` skips it. */
function typescriptLoader(): string {
  const source = `import { register } from '${import.meta.resolve('tsx/esm/api')}'; register();`;
  return `data:text/javascript,${encodeURIComponent(source)}`;
}
