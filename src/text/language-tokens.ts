import type { JsonObject } from '../core/index.ts';
import type { Tokenizer } from './tokenizer.ts';

/** The ids of a language model's tokens with a role. */
export interface LanguageTokens {
  /** What a text without a token begins with. */
  readonly startToken: number;
  /** What ends a text; a text to learn ends with the first. */
  readonly endTokens: readonly number[];
  /** What fills the places that a mask leaves out: any id does. */
  readonly padToken: number;
}

/**
 * By the model's configuration and its tokenizer, of which either may be silent: of a BLIP-2's OPT only the configuration
 * says what it ends with, Qwen's tokenizer begins with nothing, Llama 3's has no padding. A text that is told no beginning
 * begins where another ends. Throws ConfigError where neither names an end.
 */
export function languageTokens(config: JsonObject, tokenizer: Tokenizer): LanguageTokens {
  const { bos, pad } = tokenizer.special;
  const endTokens = [config.eos_token_id ?? tokenizer.require('eos')].flat().map(Number);
  const [end] = endTokens as [number];
  const configured = typeof config.bos_token_id === 'number' ? config.bos_token_id : undefined;
  return { startToken: bos ?? configured ?? end, endTokens, padToken: pad ?? end };
}
