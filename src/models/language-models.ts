import { ConfigError, nearest } from '../core/index.ts';
import type { Tensor } from '../graph/index.ts';
import type { Params } from '../nn/index.ts';
import type {
  Decoded,
  DecoderFamily,
  DecoderInputs,
  EncoderDecoderFamily,
  EncoderMemory,
  LanguageModelSizes,
  LayerCache,
} from './contracts.ts';
import { llamaFamily } from './llama/index.ts';
import { mistralFamily } from './mistral/index.ts';
import { optFamily } from './opt/index.ts';
import { qwen2Family } from './qwen2/index.ts';
import { qwen3Family } from './qwen3/index.ts';
import { t5Family } from './t5/index.ts';

/** Language models by the `model_type` of their Hugging Face configuration. */
export const languageModels = {
  llama: decoder(llamaFamily),
  mistral: decoder(mistralFamily),
  opt: decoder(optFamily),
  qwen2: decoder(qwen2Family),
  qwen3: decoder(qwen3Family),
  t5: encoderDecoder(t5Family),
} satisfies Record<string, (json: unknown) => LanguageModel>;

/** What both kinds have: see the families in ./contracts, here with their configuration. */
interface Embedded extends LanguageModelSizes {
  embed(p: Params, inputIds: Tensor): Tensor;
  head(p: Params, hidden: Tensor): Tensor;
}

export interface Decoder extends Embedded {
  readonly kind: 'decoder';
  decode(p: Params, inputs: DecoderInputs): Decoded;
}

export interface EncoderDecoder extends Embedded {
  readonly kind: 'encoder-decoder';
  encode(p: Params, inputs: { inputsEmbeds: Tensor; attentionMask: Tensor }): Tensor;
  memory(p: Params, encoded: Tensor): readonly LayerCache[];
  decode(p: Params, inputs: DecoderInputs & EncoderMemory): Decoded;
  readonly decoderStart: number;
}

export type LanguageModel = Decoder | EncoderDecoder;

/** The language model that a `text_config` describes. Throws ConfigError where its `model_type` or a field is wrong. */
export function languageModel(json: { readonly model_type?: unknown }): LanguageModel {
  const families = new Map<unknown, (json: unknown) => LanguageModel>(Object.entries(languageModels));
  const family = families.get(json.model_type);
  if (family) return family(json);
  const names = Object.keys(languageModels);
  const near = nearest(String(json.model_type), names);
  throw new ConfigError(
    `text_config: model_type: expected ${names.join(', ')}, found ${JSON.stringify(json.model_type)}${near ? `; did you mean ${near}?` : ''}`,
  );
}

function decoder<C>(family: DecoderFamily<C>): (json: unknown) => Decoder {
  return (json) => {
    const config = family.parseConfig(json);
    return {
      kind: family.kind,
      ...family.describe(config),
      embed: (p, inputIds) => family.embed(p, inputIds, config),
      decode: (p, inputs) => family.decode(p, inputs, config),
      head: (p, hidden) => family.head(p, hidden, config),
    };
  };
}

function encoderDecoder<C>(family: EncoderDecoderFamily<C>): (json: unknown) => EncoderDecoder {
  return (json) => {
    const config = family.parseConfig(json);
    return {
      kind: family.kind,
      ...family.describe(config),
      embed: (p, inputIds) => family.embed(p, inputIds, config),
      encode: (p, inputs) => family.encode(p, inputs, config),
      memory: (p, encoded) => family.memory(p, encoded, config),
      decode: (p, inputs) => family.decode(p, inputs, config),
      head: (p, hidden) => family.head(p, hidden, config),
      decoderStart: family.decoderStart(config),
    };
  };
}
