import { CheckpointError } from '../../core/index.ts';
import type { GgufFile } from './file.ts';

/** What `tokenizer.ggml.token_type` says (llama.h, llama_token_type): tokens that text is first cut at. */
const CONTROL = 3;
const USER_DEFINED = 4;

const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };

/** The splitters of byte-level BPE by llama.cpp's names for them (`tokenizer.ggml.pre`). */
const preTokenizers: Readonly<Record<string, object>> = {
  'gpt-2': byteLevel,
  smollm: { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel] },
};

/**
 * The contents of Hugging Face's tokenizer.json and tokenizer_config.json, from the vocabulary and merges of a GGUF
 * file with a byte-level BPE. Throws CheckpointError for another kind of tokenizer.
 */
export function bpeTokenizer(file: GgufFile): { tokenizer: object; tokenizerConfig: object } {
  const model = file.string('tokenizer.ggml.model');
  if (model !== 'gpt2') {
    throw new CheckpointError(`${file.path}: tokenizer ${model}; only byte-level BPE (gpt2) can be converted`);
  }
  const splitter = file.string('tokenizer.ggml.pre');
  const preTokenizer = preTokenizers[splitter];
  if (preTokenizer === undefined) {
    const known = Object.keys(preTokenizers).join(', ');
    throw new CheckpointError(`${file.path}: pre-tokenizer ${splitter} is not known; known are ${known}`);
  }
  const tokens = file.strings('tokenizer.ggml.tokens');
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens(file, tokens),
    normalizer: null,
    pre_tokenizer: preTokenizer,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: file.strings('tokenizer.ggml.merges'),
    },
  };
  return { tokenizer, tokenizerConfig: tokenizerConfig(file, tokens) };
}

function addedTokens(file: GgufFile, tokens: readonly string[]): object[] {
  const types = file.numbers('tokenizer.ggml.token_type');
  return tokens.flatMap((content, id) => {
    const type = types[id];
    if (type !== CONTROL && type !== USER_DEFINED) return [];
    const special = type === CONTROL;
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }];
  });
}

function tokenizerConfig(file: GgufFile, tokens: readonly string[]): object {
  const special = (role: string) => {
    const key = `tokenizer.ggml.${role}_token_id`;
    return file.has(key) ? tokens[file.number(key)] : undefined;
  };
  return {
    tokenizer_class: 'GPT2Tokenizer',
    bos_token: special('bos'),
    eos_token: special('eos'),
    unk_token: special('unknown'),
    pad_token: special('padding'),
    add_prefix_space: false,
    clean_up_tokenization_spaces: false,
    model_max_length: file.number('llama.context_length'),
    chat_template: file.has('tokenizer.chat_template') ? file.string('tokenizer.chat_template') : undefined,
  };
}
