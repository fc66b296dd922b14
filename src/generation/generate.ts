import { beamSearch } from './beam.ts';
import { type GenerationOptions, resolveOptions } from './options.ts';
import { streamTokens } from './sample.ts';
import type { StepModel } from './step.ts';
import type { FinishReason, Generated } from './stopping.ts';

/** Writes `numReturnSequences` sequences for every prompt of a batch, best first. Throws as {@link streamTokens} does. */
export async function generate<P>(
  model: StepModel<P>,
  prompt: P,
  options: GenerationOptions = {},
): Promise<Generated[][]> {
  const resolved = resolveOptions(options);
  if (resolved.numBeams > 1) return beamSearch(model, prompt, resolved);
  const rows: { tokens: number[]; finish: FinishReason; logProbability: number }[] = [];
  for await (const { row, token, logProbability, finish } of streamTokens(model, prompt, options)) {
    if (row === rows.length) rows.push({ tokens: [], finish: 'length', logProbability: 0 });
    rows[row]!.tokens.push(token);
    rows[row]!.logProbability += logProbability;
    if (finish) rows[row]!.finish = finish;
  }
  const written = rows.map((row) => ({
    ...row,
    score: row.logProbability / row.tokens.length ** resolved.lengthPenalty,
  }));
  const copies = resolved.numReturnSequences;
  return Array.from({ length: written.length / copies }, (_, b) => written.slice(b * copies, (b + 1) * copies));
}
