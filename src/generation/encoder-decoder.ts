import { int64s } from '../core/index.ts';
import { input, type Tensor } from '../graph/index.ts';
import type { EncoderDecoder, EncoderMemory } from '../models/index.ts';
import { Params } from '../nn/index.ts';
import { compile, type Session } from '../runtime/index.ts';
import { CachedDecoding } from './cached-decoding.ts';
import { type LanguageModelWeights, quietThreads } from './decoder.ts';
import { cachedInputs, decodingOutputs, promptInputs } from './graph.ts';
import { layerInputs, layerOutputs } from './layer-tensors.ts';
import { noSoftPrompts, type Prompt, promptMask } from './prompt.ts';
import type { Decoding, StepModel } from './step.ts';

/** A compiled encoder-decoder language model: the encoder runs once for a prompt, its keys and values with it. */
export class EncoderDecoderModel implements StepModel<Prompt> {
  readonly #lm: EncoderDecoder;
  readonly #encoder: Session<string>;
  readonly #decoder: Session<string>;

  private constructor(lm: EncoderDecoder, encoder: Session<string>, decoder: Session<string>) {
    this.#lm = lm;
    this.#encoder = encoder;
    this.#decoder = decoder;
  }

  /** Throws CheckpointError where a weight is missing. */
  static async compile(
    lm: EncoderDecoder,
    { weights, params: p = new Params(), session }: LanguageModelWeights,
  ): Promise<EncoderDecoderModel> {
    const options = { ...quietThreads, ...session };
    const encoder = await compile(encoderOutputs(lm, p), weights, options);
    const inputsEmbeds = lm.embed(p, input('input_ids', 'int64', ['batch', 'sequence']));
    const decoded = lm.decode(p, { ...cachedInputs(inputsEmbeds, lm), ...memoryInputs(lm) });
    const outputs = decodingOutputs(decoded, { head: (hidden) => lm.head(p, hidden), sizes: lm });
    return new EncoderDecoderModel(lm, encoder, await compile(outputs, weights, options));
  }

  /** Prompts may be padded on either side. */
  async prefill(prompt: Prompt, { copies }: { copies: number }): Promise<Decoding> {
    const rows = prompt.inputIds.shape[0]!;
    const memory = await this.#encoder.run({
      input_ids: prompt.inputIds,
      soft_prompts: prompt.softPrompts ?? noSoftPrompts(rows, this.#lm.width),
      attention_mask: promptMask(prompt),
    });
    const starts = new Array<number>(rows).fill(this.#lm.decoderStart);
    const feeds = { ...memory, memory_mask: promptMask(prompt) };
    return CachedDecoding.start({
      session: this.#decoder,
      sizes: this.#lm,
      first: {
        inputIds: int64s([rows, 1], starts),
        attentionMask: int64s([rows, 1], new Array<number>(rows).fill(1)),
        feeds,
      },
      later: feeds,
      copies,
    });
  }

  async release(): Promise<void> {
    await this.#encoder.release();
    await this.#decoder.release();
  }
}

/** The encoder's graph: a prompt to the cross-attention keys and values of every decoder layer. */
function encoderOutputs(lm: EncoderDecoder, p: Params): Record<string, Tensor> {
  const inputsEmbeds = promptInputs(lm, p);
  const attentionMask = input('attention_mask', 'int64', ['batch', inputsEmbeds.shape[1]!]);
  return layerOutputs('memory', lm.memory(p, lm.encode(p, { inputsEmbeds, attentionMask })));
}

/** The same keys and values as inputs of the decoder's graph. */
function memoryInputs({ layers, keyValueHeads, headWidth }: EncoderDecoder): EncoderMemory {
  return {
    memory: layerInputs('memory', layers, ['batch', keyValueHeads, 'memory', headWidth]),
    memoryMask: input('memory_mask', 'int64', ['batch', 'memory']),
  };
}
