import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { floatToHalf, isFloat, type StoredTensor, toFloat32 } from '../core/index.ts';
import { Checkpoint, readTensor, streamSafetensors, type TensorSource } from '../hub/index.ts';
import { quantisePerChannel } from '../quantise/index.ts';
import { scaleOf } from '../runtime/index.ts';

export interface ExportOptions {
  /** The largest matrices as int8 with a scale per output channel, everything else as float16. */
  readonly compact?: boolean;
}

/**
 * Copies a model folder in the Hugging Face layout to another folder, one tensor at a time. Throws CheckpointError where
 * the weights cannot be read.
 */
export async function exportModel(from: string, to: string, { compact = false }: ExportOptions = {}): Promise<void> {
  const { entries } = await Checkpoint.open(from);
  const sources = [...entries].flatMap(([name, entry]) => (compact ? compacted(name, entry) : [asStored(name, entry)]));
  await streamSafetensors(join(to, 'model.safetensors'), sources, { format: 'pt' });
  await copyText(from, to);
}

/** Configurations and tokenizers, with those of the Q-Former in a folder of their own. */
async function copyText(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const item of await readdir(from, { withFileTypes: true })) {
    if (item.isDirectory()) await copyText(join(from, item.name), join(to, item.name));
    else if (/\.(json|txt)$/.test(item.name) && !item.name.endsWith('.index.json')) {
      await copyFile(join(from, item.name), join(to, item.name));
    }
  }
}

const asStored = (name: string, entry: StoredTensor): TensorSource => ({
  name,
  dtype: entry.dtype,
  shape: entry.shape,
  data: async () => (await readTensor({ ...entry, name })).data,
});

/** The matrices that make up most of a small model: the image encoder's, and the wide ones of the Q-Former. */
const inInt8 = /^vision_model\..*\.weight$|^qformer\..*\.intermediate(_query)?\.dense\.weight$/;

function compacted(name: string, entry: StoredTensor): TensorSource[] {
  const read = async () => toFloat32(await readTensor({ ...entry, name }));
  const { shape } = entry;
  if (!isFloat(entry.dtype)) return [asStored(name, entry)];
  const [out] = shape;
  if (out === undefined || shape.length !== 2 || !inInt8.test(name)) {
    return [{ name, dtype: 'float16', shape, data: async () => floatToHalf(await read()) }];
  }
  const quantised = async () => quantisePerChannel(await read(), out);
  return [
    { name, dtype: 'int8', shape, data: async () => (await quantised()).int8 },
    { name: scaleOf(name), dtype: 'float32', shape: [out], data: async () => (await quantised()).scales },
  ];
}
