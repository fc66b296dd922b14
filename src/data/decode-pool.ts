import { DataError, RuntimeError } from '../core/index.ts';
import type { ImageProcessor, RawImage } from '../image/index.ts';
import { Thread } from '../threads/index.ts';
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
  readonly source: ImageSource;
  /** The path of the random draws to augment with; none: no augmentation. */
  readonly augment: readonly number[] | undefined;
}

/** Threads that decode images, so that the thread that computes never waits for them. */
export class DecodePool {
  readonly #threads: readonly Thread<DecodeTask, RawImage>[];
  #next = 0;

  constructor(settings: DecodeSettings, threads: number) {
    const module = new URL('./decode-worker', import.meta.url);
    this.#threads = Array.from(
      { length: threads },
      () => new Thread({ name: 'image decoder', module, data: settings }),
    );
  }

  /** The image as the model sees it. Rejects with DataError naming the image where it cannot be used. */
  async load(source: ImageSource, augment?: readonly number[]): Promise<RawImage> {
    const thread = this.#threads[this.#next++ % this.#threads.length]!;
    try {
      return await thread.ask({ source, augment });
    } catch (cause) {
      const { name, message } = cause as Error;
      throw new (name === DataError.name ? DataError : RuntimeError)(message, { cause });
    }
  }

  /** Ends the threads; what is still waited for is rejected. */
  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }
}
