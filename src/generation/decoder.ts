import { DataError } from '../core/index.ts';
import type { Decoder } from '../models/index.ts';
import { Params } from '../nn/index.ts';
import { compile, type Session, type SessionOptions, type Weights } from '../runtime/index.ts';
import { CachedDecoding } from './cached-decoding.ts';
import { cachedInputs, decodingOutputs, promptInputs } from './graph.ts';
import { noSoftPrompts, type Prompt, promptMask } from './prompt.ts';
import type { Decoding, StepModel } from './step.ts';

/** Where a language model's weights are. */
export interface LanguageModelWeights {
  readonly weights: Weights;
  /** The root of the language model's names; `language_model` in a BLIP-2 checkpoint. */
  readonly params?: Params | undefined;
  readonly session?: SessionOptions | undefined;
  /** Whether weights are packed for a CPU: long prompts are then read a few at a time. Default false. */
  readonly packed?: boolean | undefined;
}

/** A step is too short for threads that spin between steps, at the expense of whatever else runs. */
export const quietThreads: SessionOptions = { spinning: false };

/** A compiled decoder-only language model: prompt and continuation are one sequence of one graph. */
export class DecoderModel implements StepModel<Prompt> {
  readonly #lm: Decoder;
  readonly #session: Session<string>;
  readonly #packed: boolean;

  private constructor(lm: Decoder, session: Session<string>, packed: boolean) {
    this.#lm = lm;
    this.#session = session;
    this.#packed = packed;
  }

  /** Throws CheckpointError where a weight is missing. */
  static async compile(
    lm: Decoder,
    { weights, params = new Params(), session, packed = false }: LanguageModelWeights,
  ): Promise<DecoderModel> {
    const decoded = lm.decode(params, cachedInputs(promptInputs(lm, params), lm));
    const outputs = decodingOutputs(decoded, { head: (hidden) => lm.head(params, hidden), sizes: lm });
    return new DecoderModel(lm, await compile(outputs, weights, { ...quietThreads, ...session }), packed);
  }

  /** Throws DataError where a row of the prompt does not end in a token: it has to be padded on the left. */
  async prefill(prompt: Prompt, { copies }: { copies: number }): Promise<Decoding> {
    const { shape, data } = prompt.attentionMask;
    const [rows, length] = shape as [number, number];
    for (let row = 0; row < rows; row++) {
      if (data[row * length + length - 1] === 1n) continue;
      throw new DataError(`prompt ${row} ends in padding; a decoder's prompts have to be padded on the left`);
    }
    const none = noSoftPrompts(rows, this.#lm.width);
    return CachedDecoding.start({
      session: this.#session,
      sizes: this.#lm,
      past: prompt.past,
      first: {
        inputIds: prompt.inputIds,
        attentionMask: promptMask(prompt),
        feeds: { soft_prompts: prompt.softPrompts ?? none },
      },
      later: { soft_prompts: none },
      copies,
      packed: this.#packed,
    });
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}
