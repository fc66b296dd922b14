import type { StoredTensor } from '../../core/index.ts';
import {
  add,
  concat,
  gemm,
  input,
  parameter,
  reduceMax,
  reduceMean,
  reshape,
  type Tensor,
  topK,
} from '../../graph/index.ts';

/** Pictures that one matrix product reads: what it computes then stays in the processor's cache. */
const rowsAtOnce = 512;

/** A file of vectors, float32 [rows, queries, width]. */
export interface VectorFile {
  readonly file: string;
  readonly rows: number;
  readonly queries: number;
  readonly width: number;
}

/**
 * vectors [N, E] and an addend of every row (mask [rows]) -> the `k` best rows by the largest cosine of each vector with any
 * of the row's queries, averaged over the vectors. The parameters are parts of the file, which is mapped and not copied as
 * long as nothing is computed from it alone: a Reshape of what is stored would be.
 */
export function nearestRows(
  { file, rows, queries, width }: VectorFile,
  k: number,
): { outputs: Record<'values' | 'indices', Tensor>; state: ReadonlyMap<string, StoredTensor> } {
  const vectors = input('vectors', 'float32', ['vectors', width]);
  const state = new Map<string, StoredTensor>();
  const best: Tensor[] = [];
  for (let first = 0; first < rows; first += rowsAtOnce) {
    const count = Math.min(rowsAtOnce, rows - first);
    const shape = [count * queries, width];
    const name = `rows.${first}`;
    state.set(name, {
      dtype: 'float32',
      shape,
      file,
      offset: first * queries * width * Float32Array.BYTES_PER_ELEMENT,
      byteLength: count * queries * width * Float32Array.BYTES_PER_ELEMENT,
    });
    const cosines = gemm(vectors, parameter(name, 'float32', shape), undefined, { transB: true });
    const nearest = reduceMax(reshape(cosines, { shape: ['vectors', count, queries] }), { axes: [2], keepDims: false });
    best.push(reduceMean(nearest, { axes: [0], keepDims: false })); // [count]
  }
  const all = best.length === 1 ? best[0]! : concat(best, { axis: 0 });
  return { outputs: topK(add(all, input('mask', 'float32', [rows])), { axis: 0, k }), state };
}
