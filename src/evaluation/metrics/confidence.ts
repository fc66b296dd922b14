import { DataError, random } from '../../core/index.ts';
import { mean } from './caption-metric.ts';

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** The 97.5 % quantile of the standard normal distribution: two-sided 95 %. */
const z95 = 1.959963984540054;

/** Wilson's score interval (JASA 1927) for a proportion, 95 % unless another normal quantile z is given. */
export function wilsonInterval(successes: number, trials: number, z = z95): Interval {
  if (!(trials > 0 && successes >= 0 && successes <= trials)) {
    throw new DataError(
      `wilson interval: expected 0 <= successes <= trials and trials > 0, found ${successes} of ${trials}`,
    );
  }
  const p = successes / trials;
  const scale = 1 + z ** 2 / trials;
  const centre = (p + z ** 2 / (2 * trials)) / scale;
  const half = (z / scale) * Math.sqrt((p * (1 - p)) / trials + z ** 2 / (4 * trials ** 2));
  // At 0 and at all successes a bound is exact; rounding would leave it a hair off.
  return { low: successes === 0 ? 0 : centre - half, high: successes === trials ? 1 : centre + half };
}

export interface BootstrapOptions {
  readonly seed: number;
  readonly resamples?: number;
  /** Probability the interval covers, 0.95 by default. */
  readonly level?: number;
}

export interface BootstrapDifference extends Interval {
  /** mean(a) − mean(b) on the data itself. */
  readonly difference: number;
  /** How often a resample has a above b. */
  readonly probabilityPositive: number;
}

/**
 * Percentile bootstrap of mean(a) − mean(b) for two systems scored on the same items (Koehn, EMNLP 2004): items are
 * drawn with replacement, the same ones for both. Throws DataError where the scores do not pair up.
 */
export function pairedBootstrap(
  a: readonly number[],
  b: readonly number[],
  { seed, resamples = 2000, level = 0.95 }: BootstrapOptions,
): BootstrapDifference {
  if (a.length !== b.length || a.length === 0) {
    throw new DataError(
      `paired bootstrap: expected one score per item from both systems, found ${a.length} and ${b.length}`,
    );
  }
  const differences = a.map((score, i) => score - b[i]!);
  const draws = random(seed, 'paired-bootstrap');
  const means = Array.from({ length: resamples }, () => mean(differences.map(() => draws.pick(differences))));
  means.sort((x, y) => x - y);
  const tail = (1 - level) / 2;
  return {
    difference: mean(differences),
    low: quantile(means, tail),
    high: quantile(means, 1 - tail),
    probabilityPositive: means.filter((m) => m > 0).length / resamples,
  };
}

/** The q-quantile of sorted values, between neighbours in proportion. */
function quantile(sorted: readonly number[], q: number): number {
  const position = q * (sorted.length - 1);
  const below = Math.floor(position);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below]! + (position - below) * (sorted[above]! - sorted[below]!);
}
