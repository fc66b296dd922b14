import type { Decoding, StepModel } from './step.ts';

/**
 * A model that reads every prompt in so many versions, one after the other in its batch, and writes one text of them all
 * by the mean of their logits: a token is as likely as in the geometric mean of the probabilities that each gives it.
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
    const [mean, ...others] = this.#rowsOf(row).map((inner) => this.#inner.scores(inner));
    for (let token = 0; token < mean!.length; token++) {
      for (const scores of others) mean![token]! += scores[token]!;
      mean![token]! /= this.#versions;
    }
    return mean!;
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
