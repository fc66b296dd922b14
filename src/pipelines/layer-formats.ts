import { elements } from '../core/index.ts';
import type { Checkpoint } from '../hub/index.ts';
import { Params } from '../nn/index.ts';
import {
  declare,
  type Format,
  formatError,
  formats,
  formatsOf,
  isPrecise,
  type LinearWeight,
  linearWeights,
  type Precision,
  partNames,
} from '../quantise/index.ts';
import { allGraphs, declareParameters } from './graphs.ts';
import type { ModelFiles } from './model-files.ts';
import { readWeight } from './read-weight.ts';

/** How the linear layers of a model are kept: decided when it is quantised, and read off its weights afterwards. */

export type LayerFormats = ReadonlyMap<string, Format>;

/** The linear layers of a model, by the names of their weights. */
export const linearLayers = (files: ModelFiles): ReturnType<typeof linearWeights> =>
  linearWeights(allGraphs(new Params(), files));

/**
 * What becomes of each linear layer at a precision: the smallest format of the policy that errs little enough; those that
 * are not named stay as they are. Weights are read one at a time; `onProgress` is told which one.
 */
export async function plannedFormats(
  { checkpoint }: ModelFiles,
  layers: ReturnType<typeof linearLayers>,
  {
    precision,
    largeFrom,
    onProgress,
  }: {
    precision: Precision;
    largeFrom?: number | undefined;
    onProgress?: ((done: number) => void) | undefined;
  },
): Promise<LayerFormats> {
  const planned = new Map<string, Format>();
  for (const [i, layer] of [...layers.values()].entries()) {
    onProgress?.(i + 1);
    const choices = formatsOf(layer, precision, largeFrom);
    if (choices.length === 0) continue;
    const weight = await readWeight(checkpoint, layer.name);
    const choice = choices.find(({ format, tolerated }) => formatError(format, weight, layer) <= tolerated);
    if (choice) planned.set(layer.name, choice.format);
  }
  return planned;
}

const formatNames = Object.keys(formats) as Format[];
const storedFormats = ({ entries }: Checkpoint, weight: string): Format[] =>
  formatNames.filter((format) => entries.has(partNames(weight, format).weight));

/**
 * How a checkpoint keeps a weight, for few rows or for many; undefined where it is as the model declares it. What is kept for
 * many rows is kept for few as well.
 */
export function storedFormat(checkpoint: Checkpoint, weight: string, rows: 'few' | 'many' = 'few'): Format | undefined {
  const stored = storedFormats(checkpoint, weight);
  const forMany = stored.find((format) => format === 'int8_columns');
  return rows === 'many' && forMany ? forMany : stored.find((format) => format !== 'int8_columns');
}

/** Whether a checkpoint keeps weights for many rows. */
export const hasManyRows = ({ entries }: Checkpoint): boolean =>
  [...entries.keys()].some((name) => name.endsWith(partNames('', 'int8_columns').weight));

/** Every parameter that the graphs of these files read, by name: quantised layers in the format they are kept in. */
export function storedParameters(files: ModelFiles): ReturnType<typeof declareParameters> {
  const { checkpoint } = files;
  const p = new Params();
  const layers = linearWeights(allGraphs(p, files));
  const declared = new Map(p.declared);
  for (const layer of layers.values()) {
    const kept = storedFormats(checkpoint, layer.name);
    if (kept.length > 0 && !layer.shared) declared.delete(layer.name);
    for (const format of kept) {
      const names = partNames(layer.name, format);
      const parts = declare(layer, format);
      declared.set(names.weight, parts.weight).set(names.scale, parts.scale);
    }
  }
  return declared;
}

/** How many numbers a model consists of, however they are kept. */
export const parameterCount = (files: ModelFiles): number =>
  [...declareParameters(files).values()].reduce((sum, { shape }) => sum + elements(shape.map(Number)), 0);

/** Linear layers that differ in their number only, and how they are computed. */
export interface LayerGroup {
  /** The names of their weights: `*` for the number, or `{0,3}` where the other layers are kept in another way. */
  readonly layers: string;
  readonly count: number;
  /** [out, in] */
  readonly shape: readonly [number, number];
  /** What the weights are kept as: `int8_blocks + int8_columns` is for few rows and for many. */
  readonly weights: string;
  /** What is multiplied with them. */
  readonly rows: 'int8' | 'int16' | 'float32';
}

/** The number of a layer in the name of its weight. */
const number = /\.(\d+)\./;

/** What became of each linear layer of a model, in groups of equals. */
export function layerGroups(files: ModelFiles): LayerGroup[] {
  const groups = new Map<string, { pattern: string; names: string[]; kept: Omit<LayerGroup, 'layers' | 'count'> }>();
  for (const layer of linearLayers(files).values()) {
    const format = storedFormat(files.checkpoint, layer.name);
    const kept = {
      shape: [layer.out, layer.width] as const,
      weights: storedFormats(files.checkpoint, layer.name).join(' + ') || files.checkpoint.entry(layer.name).dtype,
      rows: rowsOf(format, layer),
    };
    const pattern = layer.name.replace(number, '.*.');
    const key = JSON.stringify([pattern, kept]);
    const group = groups.get(key) ?? { pattern, names: [], kept };
    group.names.push(layer.name);
    groups.set(key, group);
  }
  const all = [...groups.values()];
  return all.map(({ pattern, names, kept }) => {
    const isAlone = all.filter((other) => other.pattern === pattern).length === 1;
    const numbers = names.map((name) => number.exec(name)?.[1]);
    const layers = isAlone ? pattern : pattern.replace('*', `{${numbers.join(',')}}`);
    return { layers, ...kept, count: names.length };
  });
}

function rowsOf(format: Format | undefined, layer: LinearWeight): LayerGroup['rows'] {
  if (format === undefined) return 'float32';
  return format === 'int16' || (format === 'int8' && isPrecise(layer)) ? 'int16' : 'int8';
}
