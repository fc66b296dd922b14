import type { Value } from '../core/index.ts';
import { featuresToWriteAbout, imagesOf, type OneImage } from './images.ts';
import type { Sessions } from './sessions.ts';
import { defaultNewTokens, encodePrompts, hasRoom, streamByLanguageModel, type WritingOptions } from './write.ts';

/** A question that was asked, and its answer. */
export interface Turn {
  readonly question: string;
  readonly answer: string;
}

/**
 * Questions about one image, each asked with all earlier ones and their answers before it. Where the language model has
 * too few positions for all of them, the oldest are left out of the prompt, and stay in `turns`.
 */
export class Chat {
  readonly #sessions: Sessions;
  readonly #image: OneImage;
  readonly #turns: Turn[] = [];
  #features: Promise<Value> | undefined;

  /** Use {@link Blip2.chat}. Throws ConfigError where the model has no language model. */
  constructor(sessions: Sessions, image: OneImage) {
    sessions.language();
    this.#sessions = sessions;
    this.#image = image;
  }

  /** What has been said so far. */
  get turns(): readonly Turn[] {
    return this.#turns;
  }

  /**
   * The answer, piece by piece as it is written (all at once where `numBeams` searches). It becomes part of the
   * conversation when the last piece has been taken: an answer that is broken off does not. Throws UsageError where the
   * question alone is too long.
   */
  async *ask(question: string, options: WritingOptions = {}): AsyncGenerator<string, void, void> {
    this.#features ??= featuresToWriteAbout(this.#sessions, imagesOf(this.#image), options); // once, whatever is asked
    const features = await this.#features;
    options.signal?.throwIfAborted();
    let answer = '';
    const prompt = this.#prompt(question, options.maxNewTokens ?? defaultNewTokens);
    for await (const piece of streamByLanguageModel(this.#sessions, features, { ...options, prompt })) {
      answer += piece;
      yield piece;
    }
    this.#turns.push({ question, answer });
  }

  /** The question after as many of the last turns as leave room for an answer. */
  #prompt(question: string, newTokens: number): string {
    const language = this.#sessions.language();
    const { num_query_tokens: queries } = this.#sessions.files.config;
    for (let first = 0; ; first++) {
      const prompt = chatPrompt(this.#turns.slice(first), question);
      const positions = queries + encodePrompts(language, [prompt]).inputIds.shape[1]!;
      if (first === this.#turns.length || hasRoom(language.lm, positions, newTokens)) return prompt;
    }
  }
}

/** Earlier turns as LAVIS writes them before a question (examples/blip2_instructed_generation.ipynb). */
export function chatPrompt(turns: readonly Turn[], question: string): string {
  const context = turns.map((turn) => `Question: ${turn.question} Answer: ${turn.answer.replace(/\.$/, '')}.`);
  return [...context, `Question: ${question} Answer:`].join(' ');
}
