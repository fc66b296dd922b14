import type { ResolvedOptions } from './options.ts';
import { type LogitsProcessor, logSoftmax, processorsOf } from './processors.ts';
import type { Decoding, StepModel } from './step.ts';
import { type FinishReason, finishOf, type Generated } from './stopping.ts';

/** An open sequence. */
interface Beam {
  readonly tokens: readonly number[];
  /** Σ log p of its tokens, as processed. */
  readonly score: number;
  /** The place of the row that it continues. */
  readonly parent: number;
}

/**
 * Beam search with the semantics of transformers 4.57 (`GenerationMixin._beam_search`): by prompt, the best
 * `numReturnSequences` finished sequences, best first. A prompt's search does not depend on the others of its batch.
 */
export async function beamSearch<P>(model: StepModel<P>, prompt: P, options: ResolvedOptions): Promise<Generated[][]> {
  const { numBeams, history, signal } = options;
  const process = processorsOf(options);
  const decoding = await model.prefill(prompt, { copies: numBeams });
  const searches = Array.from(
    { length: decoding.rows / numBeams },
    (_, b) => new PromptSearch(options, process, { firstRow: b * numBeams, history: history?.[b] ?? [] }),
  );
  for (;;) {
    for (const search of searches) search.advance(decoding);
    if (searches.every(({ done }) => done)) break;
    signal?.throwIfAborted();
    const next = searches.flatMap((search) => search.next());
    await decoding.step(
      next.map(({ token }) => token),
      next.map(({ parent }) => parent),
    );
  }
  return searches.map(({ finished }) => finished.slice(0, options.numReturnSequences));
}

/** The beams of one prompt. */
class PromptSearch {
  readonly #options: ResolvedOptions;
  readonly #process: LogitsProcessor;
  readonly #firstRow: number;
  readonly #history: readonly number[];
  /** Best first. */
  #open: readonly Beam[] = [{ tokens: [], score: 0, parent: 0 }];
  /** Best first, at most `numBeams`. */
  finished: readonly Generated[] = [];
  /** Nothing can be added to `finished` any more. */
  done = false;

  constructor(
    options: ResolvedOptions,
    process: LogitsProcessor,
    { firstRow, history }: { firstRow: number; history: readonly number[] },
  ) {
    this.#options = options;
    this.#process = process;
    this.#firstRow = firstRow;
    this.#history = history;
  }

  /** One more token: ended candidates among the first `numBeams` are kept as finished, open ones go on. */
  advance(decoding: Decoding): void {
    if (this.done) return;
    const { numBeams, lengthPenalty } = this.#options;
    const candidates = this.#candidates(decoding);
    const ended = candidates.slice(0, numBeams).flatMap(({ tokens, score, finish }) => {
      return finish ? [{ tokens, score: score / tokens.length ** lengthPenalty, logProbability: score, finish }] : [];
    });
    this.finished = [...this.finished, ...ended].sort((a, b) => b.score - a.score).slice(0, numBeams);
    this.#open = candidates.filter(({ finish }) => !finish).slice(0, numBeams);
    this.done = this.#isDone();
  }

  /** The best continuations of all open beams: enough that `numBeams` of them do not end with an end token. */
  #candidates(decoding: Decoding): (Beam & { finish: FinishReason | undefined })[] {
    const { numBeams, endTokens } = this.#options;
    const top = new TopScores(Math.max(2, 1 + endTokens.length) * numBeams);
    this.#open.forEach(({ tokens, score }, row) => {
      const scores = decoding.scores(this.#firstRow + row);
      logSoftmax(scores);
      this.#process(scores, { ids: [...this.#history, ...tokens], newTokens: tokens.length });
      // Sums are float32, as the reference's: its rounding decides what ties.
      for (let token = 0; token < scores.length; token++) top.add(Math.fround(score + scores[token]!), row, token);
    });
    return top.entries.map(({ score, row, token }) => {
      const tokens = [...this.#open[row]!.tokens, token];
      return { tokens, score, parent: row, finish: finishOf(tokens, this.#options) };
    });
  }

  #isDone(): boolean {
    const { numBeams, earlyStopping, lengthPenalty, maxNewTokens } = this.#options;
    const [leader] = this.#open;
    if (!leader) return true;
    if (this.finished.length < numBeams) return false;
    if (earlyStopping === true) return true;
    const atAnyLength = earlyStopping === 'never' && lengthPenalty > 0;
    const length = atAnyLength ? maxNewTokens : leader.tokens.length;
    return leader.score / length ** lengthPenalty <= this.finished.at(-1)!.score;
  }

  /** By row, what to write next; what a row without an open beam writes is not read. */
  next(): { token: number; parent: number }[] {
    return Array.from({ length: this.#options.numBeams }, (_, row) => {
      const beam = this.#open[row];
      if (!beam || this.done) return { token: 0, parent: this.#firstRow + row };
      return { token: beam.tokens.at(-1)!, parent: this.#firstRow + beam.parent };
    });
  }
}

/** The n largest scores in falling order; of equals, those that were added first. */
class TopScores {
  readonly #n: number;
  readonly entries: { score: number; row: number; token: number }[] = [];

  constructor(n: number) {
    this.#n = n;
  }

  add(score: number, row: number, token: number): void {
    const { entries } = this;
    if (entries.length === this.#n && score <= entries.at(-1)!.score) return;
    let at = entries.length;
    while (at > 0 && entries[at - 1]!.score < score) at -= 1;
    entries.splice(at, 0, { score, row, token });
    if (entries.length > this.#n) entries.pop();
  }
}
