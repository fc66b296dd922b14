import type { Decoding, StepModel } from './step.ts';

/**
 * A model that reads every prompt in so many versions, one after the other in its batch, and writes one text of them all:
 * the mean of their logits, which is a token's logarithm in the geometric mean of their probabilities.
 */
export function averaged<P>(model: StepModel<P>, versions: number): StepModel<P> {
  if (versions === 1) return model;
  return {
    async prefill(prompt, { copies }) {
      return new AveragedDecoding(await model.prefill(prompt, { copies }), { versions, copies });
    },
  };
}

class AveragedDecoding implements Decoding {
  readonly rows: number;
  readonly #inner: Decoding;
  readonly #versions: number;
  readonly #copies: number;

  constructor(inner: Decoding, { versions, copies }: { versions: number; copies: number }) {
    this.rows = inner.rows / versions;
    this.#inner = inner;
    this.#versions = versions;
    this.#copies = copies;
  }

  scores(row: number): Float32Array {
    const all = this.#rowsOf(row).map((inner) => this.#inner.scores(inner));
    return all[0]!.map((_, token) => all.reduce((sum, scores) => sum + scores[token]!, 0) / this.#versions);
  }

  step(tokens: readonly number[], parents: readonly number[] = [...tokens.keys()]): Promise<void> {
    const [innerTokens, innerParents]: [number[], number[]] = [[], []];
    for (const [row, token] of tokens.entries()) {
      const from = this.#rowsOf(parents[row]!);
      for (const [version, inner] of this.#rowsOf(row).entries()) {
        innerTokens[inner] = token;
        innerParents[inner] = from[version]!;
      }
    }
    return this.#inner.step(innerTokens, innerParents);
  }

  /** The rows of the inner decoding that a row is the mean of. */
  #rowsOf(row: number): number[] {
    const [prompt, copy] = [Math.floor(row / this.#copies), row % this.#copies];
    return Array.from({ length: this.#versions }, (_, v) => (prompt * this.#versions + v) * this.#copies + copy);
  }
}
