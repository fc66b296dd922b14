import { scoreCaptions, wilsonInterval } from '../metrics/index.ts';
import type { Metrics } from './benchmark.ts';

/** Captions against their references: CIDEr and BLEU-4 times 100, as papers print them; matches in percent. */
export function scoreWritten(captions: readonly string[], references: readonly (readonly string[])[]): Metrics {
  const samples = captions.map((candidate, i) => ({ candidate, references: references[i]! }));
  const { CIDEr, Bleu_4, noun_match, exact_match } = scoreCaptions(samples, ['cider', 'bleu', 'head-noun']).corpus;
  return { CIDEr: 100 * CIDEr!, Bleu_4: 100 * Bleu_4!, noun_match: noun_match!, exact_match: exact_match! };
}

/** How many of some items have a property, in percent, with the 95 % interval; of none there is nothing to say but that. */
export function share(has: readonly boolean[]): Metrics {
  const [hits, n] = [has.filter(Boolean).length, has.length];
  if (n === 0) return { n };
  const { low, high } = wilsonInterval(hits, n);
  return { percent: (100 * hits) / n, low: 100 * low, high: 100 * high, n };
}
