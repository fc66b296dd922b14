import { int64s, type JsonObject, type StoredTensor, type Value } from '../core/index.ts';
import { resolveModel } from '../hub/index.ts';
import { type LanguageModel, languageModel } from '../models/index.ts';
import { ignoreIndex } from '../nn/index.ts';
import {
  type LanguageTokens,
  languageTokens,
  padSequences,
  readTokenizerFiles,
  Tokenizer,
  type TokenizerFiles,
} from '../text/index.ts';
import { readModelPart } from './model-part.ts';

/** A frozen language model, and how it reads the texts that it is to write. */
export interface FrozenLanguageModel extends LanguageTokens {
  readonly lm: LanguageModel;
  readonly config: JsonObject;
  /** Its state dict under the names that it has in a BLIP-2 model. */
  readonly stored: ReadonlyMap<string, StoredTensor>;
  readonly files: TokenizerFiles;
  readonly tokenizer: Tokenizer;
}

/** Reads a language model from a Hugging Face folder, or by its id; of a BLIP-2 its language model. */
export async function readLanguageModel(model: string): Promise<FrozenLanguageModel> {
  const folder = await resolveModel(model);
  const { config, state } = await readModelPart(folder, { key: 'text_config', root: 'language_model.' });
  const files = await readTokenizerFiles(folder);
  return languageModelOf({
    config: config.model_type === 'opt' ? { ...config, eos_token_id: lineBreak(new Tokenizer(files)) } : config,
    state,
    files,
  });
}

/** What texts end with in front of OPT: BLIP-2's is trained to write one line (lavis/models/blip2_models/blip2_opt.py). */
const lineBreak = (tokenizer: Tokenizer): number => tokenizer.encode('\n', { addSpecialTokens: false })[0]!;

/** A language model from its parts; `state` is named from its root. */
export function languageModelOf({
  config,
  state,
  files,
}: {
  config: JsonObject;
  state: ReadonlyMap<string, StoredTensor>;
  files: TokenizerFiles;
}): FrozenLanguageModel {
  const tokenizer = new Tokenizer(files);
  return {
    lm: languageModel(config),
    config,
    stored: new Map([...state].map(([name, entry]) => [`language_model.${name}`, entry])),
    files,
    tokenizer,
    ...languageTokens(config, tokenizer),
  };
}

/** A text to learn: what it follows, and the text itself; none carries no loss. */
export interface Continuation {
  readonly prompt: string;
  readonly target: string | undefined;
}

/** Tokens as a training graph reads them: what `stageTwoInputs` names. */
export interface TextFeeds {
  readonly inputIds: Value<'int64'>;
  readonly attentionMask: Value<'int64'>;
  readonly labels: Value<'int64'>;
}

/** Token ids of texts to learn, before they are padded. */
export interface TokenRows {
  /** The longest row. */
  readonly length: number;
  /** Padded on the right, after everything that carries loss. */
  padTo(length: number): TextFeeds;
}

/**
 * Texts for a language model, with loss on the targets and their ends alone. A decoder reads prompt and target as one
 * sequence; of an encoder-decoder the encoder reads the prompt and the decoder writes the target. Prompts are what the
 * model is given when it is used. Neither part is longer than `maxLength`, nor both together in a decoder.
 */
export function tokeniseTexts(
  { lm, tokenizer, startToken, endTokens, padToken }: FrozenLanguageModel,
  texts: readonly Continuation[],
  maxLength: number,
): TokenRows {
  const rows = texts.map(({ prompt, target }) => {
    const room = lm.kind === 'decoder' ? maxLength - 2 : maxLength;
    const encoded = tokenizer.encode(prompt, { maxLength: room, truncationSide: 'left' });
    const start = encoded.length > 0 ? encoded : [startToken];
    if (target === undefined) return { read: start, labels: [] };
    if (lm.kind === 'encoder-decoder') return { read: start, labels: tokenizer.encode(target, { maxLength }) };
    const left = maxLength - start.length;
    // What is cut has not ended.
    const written = [...tokenizer.encodeAfter(prompt, target), endTokens[0]!].slice(0, left);
    // Without a prompt the first token is learnt as well: the queries then say that a text begins (blip2_opt.py).
    const asked = prompt === '' ? start : start.map(() => ignoreIndex);
    return { read: [...start, ...written], labels: [...asked, ...written] };
  });
  const id = () => padToken;
  return {
    length: Math.max(...rows.flatMap(({ read, labels }) => [read.length, labels.length])),
    padTo: (length) => ({
      ...padSequences(
        rows.map(({ read }) => read),
        { id, side: 'right', length },
      ),
      labels: int64s(
        [rows.length, length],
        rows.flatMap(({ labels }) => [...labels, ...Array<number>(length - labels.length).fill(ignoreIndex)]),
      ),
    }),
  };
}
