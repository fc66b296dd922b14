/** A model that writes token by token, whatever its architecture: all that the search strategies know of it. */
export interface StepModel<Prompt> {
  /** Reads a batch of prompts. Each is then continued in `copies` rows: prompt b in the rows b · copies + c. */
  prefill(prompt: Prompt, options: { copies: number }): Promise<Decoding>;
}

/** Sequences that are written in lockstep. */
export interface Decoding {
  readonly rows: number;
  /** The logits [V] of a row's next token, in an array of the caller's own. */
  scores(row: number): Float32Array;
  /**
   * Row r goes on from what row `parents[r]` had written (its own by default), with `tokens[r]`. A parent is a row of
   * the same prompt.
   */
  step(tokens: readonly number[], parents?: readonly number[]): Promise<void>;
}
