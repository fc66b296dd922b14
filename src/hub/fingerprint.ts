import { createHash } from 'node:crypto';
import type { StoredTensor } from '../core/index.ts';
import { readTensor } from './safetensors.ts';

/** All that decides the features of a frozen image encoder. */
export interface EncoderIdentity {
  readonly encoder: { readonly width: number; readonly patchSize: number };
  readonly processor: object;
  readonly pooling: number;
  /** The encoder's state dict, named from its root. */
  readonly state: ReadonlyMap<string, StoredTensor>;
}

/**
 * A name for an encoder with its weights and preprocessing: different numbers, different name. The same encoder has the
 * same name in its own folder and in that of a model built on it.
 */
export async function fingerprint({ encoder, processor, pooling, state }: EncoderIdentity): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([encoder.width, encoder.patchSize, processor, pooling]));
  for (const name of [...state.keys()].sort()) {
    const { dtype, shape, data } = await readTensor({ ...state.get(name)!, name });
    hash.update(JSON.stringify([name, dtype, shape]));
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex').slice(0, 16);
}
