import type { CompiledLanguageModel, Decoding, Prompt } from '../generation/index.ts';

interface Options {
  /** Compiles it for few rows at a time. */
  readonly few: () => Promise<CompiledLanguageModel>;
  /** Compiles it for many. */
  readonly many: () => Promise<CompiledLanguageModel>;
  /** So many rows that are written together are many. */
  readonly manyFrom: number;
}

/**
 * A language model whose weights are read in one way for few rows and in another for many. The first batch or beam search of
 * many rows has it compiled for them, and what comes after is then read so, too, so that captions of a folder's last, smaller
 * batch are not read in another way than those before.
 */
export class LanguageModelByRows implements CompiledLanguageModel {
  readonly #options: Options;
  #few: Promise<CompiledLanguageModel> | undefined;
  #many: Promise<CompiledLanguageModel> | undefined;

  constructor(options: Options) {
    this.#options = options;
  }

  async prefill(prompt: Prompt, options: { copies: number }): Promise<Decoding> {
    const rows = prompt.inputIds.shape[0]! * options.copies;
    const model = await this.#compiledFor(rows);
    return model.prefill(prompt, options);
  }

  #compiledFor(rows: number): Promise<CompiledLanguageModel> {
    if (rows >= this.#options.manyFrom) this.#many ??= this.#options.many();
    if (this.#many) return this.#many;
    this.#few ??= this.#options.few();
    return this.#few;
  }

  async release(): Promise<void> {
    for (const model of [this.#few, this.#many]) await (await model)?.release();
  }
}
