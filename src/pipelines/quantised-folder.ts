import { randomBytes } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type JsonObject, toFloat32, UsageError } from '../core/index.ts';
import {
  Checkpoint,
  exists,
  readJsonObject,
  readTensor,
  streamSafetensors,
  type TensorEntry,
  type TensorSource,
  writeJson,
} from '../hub/index.ts';
import { type Format, formats, type LinearWeight, type Precision, partNames, precisions } from '../quantise/index.ts';
import { scaleOf } from '../runtime/index.ts';
import { copyText } from './copy-text.ts';
import { type LayerFormats, linearLayers, plannedFormats } from './layer-formats.ts';
import { type ModelFiles, openModel } from './model-files.ts';
import { readWeight } from './read-weight.ts';
import { rowFormats } from './row-formats.ts';

/** What to compute with: a precision, or `auto`: int8 on CPUs, floats elsewhere. */
export type PrecisionChoice = Precision | 'auto';
export const precisionChoices: readonly PrecisionChoice[] = [...precisions, 'auto'];

/** How far a conversion is, with what is in work: first layers are looked at, then tensors are written. */
export interface QuantiseProgress {
  readonly part: string;
  readonly done: number;
  readonly total: number;
}

export interface QuantiseOptions {
  readonly onProgress?: ((progress: QuantiseProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** From how many weights on a language model's layer is a large one, for four bits or int8 in blocks. Default: 4 M. */
  readonly largeFrom?: number | undefined;
}

/** The layout of quantised folders; another number, and cached ones are made anew. */
export const layout = 6;

/** The precision that a folder was quantised to, from its config.json. */
export function storedPrecision({ quantization_config: recipe }: JsonObject): Precision | undefined {
  if (typeof recipe !== 'object' || recipe === null || !('precision' in recipe)) return undefined;
  return precisions.find((precision) => precision === recipe.precision);
}

/** Throws UsageError for a folder that was quantised: what it keeps in few bits is no start for another format. */
export function requireFloats(folder: string, json: JsonObject): void {
  const stored = storedPrecision(json);
  if (stored) throw new UsageError(`${folder} is quantised to ${stored}; name the model that it was made from`);
}

/**
 * Writes a model folder whose linear layers are kept at a precision, one tensor at a time; its config.json says how.
 * The folder appears when it is whole. How layers of a large language model are kept, for few rows and for many, is
 * measured on a first version of it. Throws UsageError where the folder is there already, or where the model was quantised before; the
 * signal's reason between tensors.
 */
export async function writeQuantised(
  from: string,
  to: string,
  precision: Precision,
  { onProgress, signal, largeFrom }: QuantiseOptions = {},
): Promise<void> {
  if (await exists(to)) throw new UsageError(`${to} is there already; name a new folder`);
  const json = await readJsonObject(join(from, 'config.json'));
  requireFloats(from, json);
  const files = await openModel(from);
  const layers = linearLayers(files);
  const report = (progress: QuantiseProgress) => {
    signal?.throwIfAborted();
    onProgress?.(progress);
  };
  const planned = await plannedFormats(files, layers, {
    precision,
    largeFrom,
    onProgress: (done) => report({ part: 'choosing formats', done, total: layers.size }),
  });
  const recipe = { quant_method: 'blip2', precision, layout };
  const unfinished = () => join(dirname(to), `.${basename(to)}.${randomBytes(6).toString('hex')}.tmp`);
  const [first, second] = [unfinished(), unfinished()];
  const write = async (path: string, tensors: readonly TensorSource[]) => {
    await copyText(from, path);
    await streamSafetensors(join(path, 'model.safetensors'), counted(tensors, report), { format: 'pt' });
    await writeJson(join(path, 'config.json'), { ...json, quantization_config: recipe });
  };
  try {
    const names = [...files.checkpoint.entries.keys()];
    await write(
      first,
      names.flatMap((name) => sourcesOf(name, { files, layers, planned })),
    );
    const other = await rowFormats(await openModel(first), {
      largeFrom,
      forManyRows: precision === 'int8',
      signal,
    });
    if (other.size > 0) await write(second, await packedAnew(first, { files, layers, other }));
    await rename(other.size > 0 ? second : first, to);
  } finally {
    for (const path of [first, second]) await rm(path, { recursive: true, force: true });
  }
}

/** The same tensors, which report how many were written. */
function counted(tensors: readonly TensorSource[], report: (progress: QuantiseProgress) => void): TensorSource[] {
  let done = 0;
  return tensors.map((tensor) => ({
    ...tensor,
    data: () => {
      done += 1;
      report({ part: 'writing tensors', done, total: tensors.length });
      return tensor.data();
    },
  }));
}

/** The tensors of a quantised folder, with some layers packed anew, in other formats, from the model that it was made from. */
async function packedAnew(
  folder: string,
  { files, layers, other }: Omit<Plan, 'planned'> & { other: ReadonlyMap<string, readonly Format[]> },
): Promise<TensorSource[]> {
  const { entries } = await Checkpoint.open(folder);
  const replaced = new Set(
    [...other.keys()].flatMap((name) => {
      const { weight, scale } = partNames(name, 'int8');
      return [weight, scale];
    }),
  );
  const kept = [...entries.values()].filter(({ name }) => !replaced.has(name)).map(inPlace);
  const read = (name: string) => () => readWeight(files.checkpoint, name);
  const packed = [...other].flatMap(([name, chosen]) =>
    chosen.flatMap((format) => packedSources(layers.get(name)!, format, read(name))),
  );
  return [...kept, ...packed];
}

interface Plan {
  readonly files: ModelFiles;
  readonly layers: ReturnType<typeof linearLayers>;
  readonly planned: LayerFormats;
}

/** What becomes of one entry of a checkpoint. Data is read, and packed, when its turn to be written comes. */
function sourcesOf(name: string, { files: { checkpoint }, layers, planned }: Plan): TensorSource[] {
  const asStored = inPlace(checkpoint.entry(name));
  const layer = layers.get(name);
  const format = planned.get(name);
  if (layer && format) {
    const packed = packedSources(layer, format, () => readWeight(checkpoint, name));
    return layer.shared ? [...packed, asStored] : packed;
  }
  const scaled = [...planned.keys()].find((weight) => scaleOf(weight) === name);
  return scaled !== undefined && !layers.get(scaled)!.shared ? [] : [asStored];
}

/** A tensor that stays; half floats become float32, so that rows of an embedding are read where they lie in the file. */
function inPlace(entry: TensorEntry): TensorSource {
  if (entry.dtype !== 'float16' && entry.dtype !== 'bfloat16') {
    return { ...entry, data: async () => (await readTensor(entry)).data };
  }
  return { ...entry, dtype: 'float32', data: async () => toFloat32(await readTensor(entry)) };
}

/** A weight's two tensors. */
function packedSources(layer: LinearWeight, format: Format, read: () => Promise<Float32Array>): TensorSource[] {
  const { types, scales, pack } = formats[format];
  const names = partNames(layer.name, format);
  const { weight, scale } = types(layer);
  return [
    {
      name: names.scale,
      dtype: scale.dtype,
      shape: scale.shape.map(Number),
      data: async () => scales(await read(), layer),
    },
    {
      name: names.weight,
      dtype: weight.dtype,
      shape: weight.shape.map(Number),
      data: async () => {
        const values = await read();
        return pack(values, scales(values, layer), layer).data;
      },
    },
  ];
}
