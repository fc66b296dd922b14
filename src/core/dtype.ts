/** Element types of tensors and checkpoints. `bfloat16` and `float16` are held as raw 16-bit words. */
export const dtypes = {
  float32: { bytes: 4, array: Float32Array, onnx: 1, safetensors: 'F32' },
  uint8: { bytes: 1, array: Uint8Array, onnx: 2, safetensors: 'U8' },
  int8: { bytes: 1, array: Int8Array, onnx: 3, safetensors: 'I8' },
  int32: { bytes: 4, array: Int32Array, onnx: 6, safetensors: 'I32' },
  int64: { bytes: 8, array: BigInt64Array, onnx: 7, safetensors: 'I64' },
  bool: { bytes: 1, array: Uint8Array, onnx: 9, safetensors: 'BOOL' },
  float16: { bytes: 2, array: Uint16Array, onnx: 10, safetensors: 'F16' },
  float64: { bytes: 8, array: Float64Array, onnx: 11, safetensors: 'F64' },
  bfloat16: { bytes: 2, array: Uint16Array, onnx: 16, safetensors: 'BF16' },
} as const;

export type DType = keyof typeof dtypes;

interface TypedArrays {
  float32: Float32Array;
  uint8: Uint8Array;
  int8: Int8Array;
  int32: Int32Array;
  int64: BigInt64Array;
  bool: Uint8Array;
  float16: Uint16Array;
  float64: Float64Array;
  bfloat16: Uint16Array;
}

/** The typed array that holds elements of `D`. */
export type TypedArrayOf<D extends DType> = TypedArrays[D];
export type TypedArray = TypedArrayOf<DType>;

/** Whether gradients can flow through values of this type. */
export const isFloat = (dtype: DType): boolean =>
  dtype === 'float32' || dtype === 'float64' || dtype === 'float16' || dtype === 'bfloat16';

/** The dtype that a safetensors header calls `name`, or undefined. */
export function dtypeOfSafetensors(name: string): DType | undefined {
  return (Object.keys(dtypes) as DType[]).find((dtype) => dtypes[dtype].safetensors === name);
}
