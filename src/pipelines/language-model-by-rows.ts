import type { CompiledLanguageModel, Decoding, Prompt } from '../generation/index.ts';
import { MadeOnce } from './made-once.ts';

interface Options {
  /** Compiles it for few rows at a time. */
  readonly few: () => Promise<CompiledLanguageModel>;
  /** Compiles it for many. Default: as for few. */
  readonly many?: () => Promise<CompiledLanguageModel>;
  /** So many rows that are written together are many. Default: none are. */
  readonly manyFrom?: number;
}

/**
 * A language model whose weights are read in one way for few rows and in another for many. The first batch or beam search of
 * many rows has it compiled for them, and what comes after is then read so, too, so that captions of a folder's last, smaller
 * batch are not read in another way than those before.
 */
export class LanguageModelByRows implements CompiledLanguageModel {
  readonly #options: Options;
  readonly #compiled = new MadeOnce();

  constructor(options: Options) {
    this.#options = options;
  }

  async prefill(prompt: Prompt, options: { copies: number }): Promise<Decoding> {
    const model = await this.prepare(prompt.inputIds.shape[0]! * options.copies);
    return model.prefill(prompt, options);
  }

  /** What so many rows are read by, compiled. */
  prepare(rows: number): Promise<CompiledLanguageModel> {
    const { few, many = few, manyFrom = Infinity } = this.#options;
    const compiled = this.#compiled;
    return rows >= manyFrom || compiled.has('many') ? compiled.get('many', many) : compiled.get('few', few);
  }

  release(): Promise<void> {
    return this.#compiled.release();
  }
}
