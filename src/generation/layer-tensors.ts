import type { Shape } from '../core/index.ts';
import { input, type Tensor } from '../graph/index.ts';
import type { LayerCache } from '../models/index.ts';

/** The names of a graph's keys and values by layer: `past.0.key`, `past.0.value`, `past.1.key`, … */
export const layerNames = (prefix: string, layers: number): string[] =>
  Array.from({ length: layers }, (_, layer) => [`${prefix}.${layer}.key`, `${prefix}.${layer}.value`]).flat();

/** Keys and values as inputs of a graph. */
export function layerInputs(prefix: string, layers: number, shape: Shape): LayerCache[] {
  const tensors = layerNames(prefix, layers).map((name) => input(name, 'float32', shape));
  return Array.from({ length: layers }, (_, layer) => ({ key: tensors[2 * layer]!, value: tensors[2 * layer + 1]! }));
}

/** Keys and values as outputs of a graph. */
export function layerOutputs(prefix: string, layers: readonly LayerCache[]): Record<string, Tensor> {
  const tensors = layers.flatMap(({ key, value }) => [key, value]);
  return Object.fromEntries(layerNames(prefix, layers.length).map((name, i) => [name, tensors[i]!]));
}
