import type { DType } from './dtype.ts';

/** A tensor that lies in a file: a safetensors entry, for one. Offsets and lengths are in bytes. */
export interface StoredTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Absolute path. */
  readonly file: string;
  readonly offset: number;
  readonly byteLength: number;
}
