import { floats, type Value, value } from '../core/index.ts';

/** What a language model is to go on from. */
export interface Prompt {
  /** float32 [B, S, D]: projected queries, in front of the text. */
  readonly softPrompts?: Value<'float32'> | undefined;
  /** The `present.*` outputs [B, K, P, d] of a graph that has read what comes before all of this. */
  readonly past?: Readonly<Record<string, Value>> | undefined;
  /** int64 [B, T]. */
  readonly inputIds: Value<'int64'>;
  /** int64 [B, T] of the text alone: 1 = keep, 0 = padding. */
  readonly attentionMask: Value<'int64'>;
}

/** Soft prompts of no length. */
export const noSoftPrompts = (rows: number, width: number): Value<'float32'> => floats([rows, 0, width], []);

/** int64 [B, S + T]: soft prompts are always kept. */
export function promptMask({ softPrompts, attentionMask }: Prompt): Value<'int64'> {
  const [prompts, length] = attentionMask.shape as [number, number];
  const width = (softPrompts?.shape[1] ?? 0) + length;
  const data = new BigInt64Array(prompts * width).fill(1n);
  for (let row = 0; row < prompts; row++) {
    data.set(attentionMask.data.subarray(row * length, (row + 1) * length), (row + 1) * width - length);
  }
  return value('int64', [prompts, width], data);
}
