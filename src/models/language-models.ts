import { ConfigError, nearest } from '../core/index.ts';
import type { Tensor } from '../graph/index.ts';
import type { Params } from '../nn/index.ts';
import type { Decoded, DecoderFamily, DecoderInputs, LanguageModelSizes } from './contracts.ts';
import { llamaFamily } from './llama/index.ts';
import { optFamily } from './opt/index.ts';

/** Language models by the `model_type` of their Hugging Face configuration. */
export const languageModels = {
  llama: decoder(llamaFamily),
  opt: decoder(optFamily),
} satisfies Record<string, (json: unknown) => LanguageModel>;

/** A decoder-only family with its configuration: see {@link DecoderFamily}. */
export interface Decoder extends LanguageModelSizes {
  readonly kind: 'decoder';
  embed(p: Params, inputIds: Tensor): Tensor;
  decode(p: Params, inputs: DecoderInputs): Decoded;
  head(p: Params, hidden: Tensor): Tensor;
}

export type LanguageModel = Decoder;

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
