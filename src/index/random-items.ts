import { type Random, random } from '../core/index.ts';
import { FORMAT, type Manifest } from './manifest.ts';
import type { Item } from './vector-index.ts';

/** Items for tests: random numbers that are a function of the item's number. */

export const testManifest: Manifest = {
  format: FORMAT,
  model: 'a test',
  queries: 3,
  width: 16,
  patches: 2,
  feature_width: 5,
};

export function randomItem(n: number, { queries, width, patches, feature_width } = testManifest): Item {
  const draws = random(n, 'item');
  const vectors = new Float32Array(queries * width);
  for (let q = 0; q < queries; q++) vectors.set(unitVector(draws, width), q * width);
  return {
    id: `id-${n}`,
    path: `it's ${n}.png`,
    file: `/pictures/${n % 3}/it's ${n}.png`,
    vectors,
    features: Uint16Array.from({ length: patches * feature_width }, () => draws.below(0x7c00)),
  };
}

export function unitVector(draws: Random, width: number): Float32Array {
  const direction = Float32Array.from({ length: width }, () => draws.normal());
  const length = Math.hypot(...direction);
  return direction.map((x) => x / length);
}
