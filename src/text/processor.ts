import { int64s, toNumbers, type Value } from '../core/index.ts';
import type { BatchOptions, Encoding, Tokenizer } from './tokenizer.ts';

/**
 * Prompts as BLIP-2's processors write them: `queries` image tokens, then the text, padded on its own. So the image
 * comes before any bos token and before padding on the left; `maxLength` and `padTo` count the image tokens too.
 * Throws ConfigError where the tokenizer has no <image>.
 */
export function blip2Prompt(
  tokenizer: Tokenizer,
  texts: readonly string[],
  { queries, maxLength, padTo, ...options }: BatchOptions & { readonly queries: number },
): Encoding {
  const text = tokenizer.encodeBatch(texts, {
    ...options,
    ...(maxLength !== undefined && { maxLength: maxLength - queries }),
    ...(padTo !== undefined && { padTo: padTo - queries }),
  });
  return {
    inputIds: prefixed(text.inputIds, queries, tokenizer.require('image')),
    attentionMask: prefixed(text.attentionMask, queries, 1),
  };
}

/** [B, T] -> [B, count + T]. */
function prefixed(rows: Value<'int64'>, count: number, id: number): Value<'int64'> {
  const [B = 0, T = 0] = rows.shape;
  const data = toNumbers(rows);
  const prefix = new Array<number>(count).fill(id);
  const joined = Array.from({ length: B }, (_, b) => [...prefix, ...data.slice(b * T, (b + 1) * T)]);
  return int64s([B, count + T], joined.flat());
}
