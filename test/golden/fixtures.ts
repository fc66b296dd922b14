/** Reads golden fixtures and measures how far results are from them, as the fixtures' README recommends. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { toNumbers, type Value } from '../../src/core/index.ts';
import { Checkpoint } from '../../src/hub/index.ts';

/** The fixture set under test: every dimension and every case comes from it, so that any set can be run. */
export const goldenDir = resolve(process.env.GOLDEN_DIR ?? '../shared/golden');

export const goldenPath = (relativePath: string): string => join(goldenDir, relativePath);

export const hasFixture = (relativePath: string): boolean => existsSync(goldenPath(relativePath));

export type Fixture = Readonly<Record<string, Value>>;

/** All tensors of a safetensors file, or of a checkpoint folder. */
export async function readFixture(relativePath: string): Promise<Fixture> {
  return (await Checkpoint.open(goldenPath(relativePath))).readAll();
}

/** A JSON file, in the shape the caller says it has. */
export async function readJson<T>(relativePath: string): Promise<T> {
  return JSON.parse(await readFile(goldenPath(relativePath), 'utf8'));
}

/** A tensor that the fixture must have. */
export function take(fixture: Fixture, name: string): Value {
  const found = fixture[name];
  if (found === undefined) {
    throw new Error(`no tensor ${name} in the fixture; it has ${Object.keys(fixture).join(', ')}`);
  }
  return found;
}

/** The tensors whose names start with `prefix` (`in.`, `out.`, `grad.`), without it. */
export function takeAll(fixture: Fixture, prefix: string): Record<string, Value> {
  const found = Object.entries(fixture).filter(([name]) => name.startsWith(prefix));
  if (found.length === 0) throw new Error(`no tensor ${prefix}* in the fixture`);
  return Object.fromEntries(found.map(([name, tensor]) => [name.slice(prefix.length), tensor]));
}

/** Recommended tolerances, by what is compared. */
export const tolerances = {
  /** relativeError of forward tensors */
  forward: 2e-5,
  /** scaledError of `eps_probe` cases */
  epsProbe: 2e-4,
  /** absoluteError of losses */
  loss: 2e-5,
  /** gradientError of all gradients of a run */
  gradient: 5e-5,
  /** absoluteError of beam `sequences_scores` */
  sequenceScore: 1e-4,
  trajectory: {
    /** absoluteError */
    lr: 1e-12,
    /** relativeError */
    loss: 1e-4,
    /** relativeError */
    gradNorm: 2e-3,
    /** absoluteError, without the `noise_driven_parameters` */
    parameters: 2e-4,
  },
} as const;

type Numbers = Value | ArrayLike<number> | number;

const numbersOf = (x: Numbers): ArrayLike<number> => (typeof x === 'number' ? [x] : 'dtype' in x ? toNumbers(x) : x);

const largest = (n: number, at: (i: number) => number): number => {
  let max = 0;
  for (let i = 0; i < n; i++) max = Math.max(max, Math.abs(at(i))); // Math.max keeps a NaN, which then fails the test
  return max;
};

/** max |a − b|. Throws where the lengths differ or there is nothing to compare. */
export function absoluteError(a: Numbers, b: Numbers): number {
  const [x, y] = [numbersOf(a), numbersOf(b)];
  if (x.length !== y.length || y.length === 0) throw new Error(`${x.length} elements compared with ${y.length}`);
  return largest(y.length, (i) => x[i]! - y[i]!);
}

/** max |b|. */
export function magnitude(b: Numbers): number {
  const y = numbersOf(b);
  return largest(y.length, (i) => y[i]!);
}

/** max |a − b| / (1 + max |b|). */
export const relativeError = (a: Numbers, b: Numbers): number => absoluteError(a, b) / (1 + magnitude(b));

/** max |a − b| / max |b|. */
export const scaledError = (a: Numbers, b: Numbers): number => absoluteError(a, b) / magnitude(b);

/**
 * The largest difference of any gradient, divided by the largest element of all expected gradients of the run, with the
 * parameter it belongs to. Throws where an expected gradient is missing.
 */
export function gradientError(
  actual: Readonly<Record<string, Value>>,
  expected: Readonly<Record<string, Value>>,
): { error: number; name: string } {
  const scale = Math.max(...Object.values(expected).map(magnitude));
  const errors = Object.keys(expected).map((name) => {
    return { name, error: absoluteError(take(actual, name), take(expected, name)) / scale };
  });
  return errors.reduce((worst, next) => (next.error <= worst.error ? worst : next));
}
