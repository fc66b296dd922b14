import type { CompiledLanguageModel, Decoding, Prompt } from '../generation/index.ts';

interface Compile {
  readonly mapped: () => Promise<CompiledLanguageModel>;
  readonly packed: () => Promise<CompiledLanguageModel>;
}

/**
 * A language model that reads its weights where they lie in their files, which for a single row is as fast as reading them
 * repacked, and ready at once. A few rows at a time are slower that way: the first batch or beam search has the weights
 * repacked, and single rows are then read with those too.
 */
export class MappedLanguageModel implements CompiledLanguageModel {
  readonly #compile: Compile;
  #mapped: Promise<CompiledLanguageModel> | undefined;
  #packed: Promise<CompiledLanguageModel> | undefined;

  constructor(compile: Compile) {
    this.#compile = compile;
  }

  async prefill(prompt: Prompt, options: { copies: number }): Promise<Decoding> {
    const rows = prompt.inputIds.shape[0]! * options.copies;
    const model = await this.#compiledFor(rows);
    return model.prefill(prompt, options);
  }

  #compiledFor(rows: number): Promise<CompiledLanguageModel> {
    if (rows > 1) this.#packed ??= this.#compile.packed();
    if (this.#packed) return this.#packed;
    this.#mapped ??= this.#compile.mapped();
    return this.#mapped;
  }

  async release(): Promise<void> {
    for (const model of [this.#mapped, this.#packed]) await (await model)?.release();
  }
}
