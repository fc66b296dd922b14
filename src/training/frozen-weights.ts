import { type DType, floats, type StoredTensor, toFloat32, type Value } from '../core/index.ts';
import { readTensor } from '../hub/index.ts';
import type { Feeds, Weights } from '../runtime/index.ts';

/**
 * Weights that do not train, as all graphs of a run share them: what lies in a file is mapped by each graph, what is in
 * memory is fed to each, and neither is copied. Sessions are to be `mapped`.
 */
export class FrozenWeights {
  readonly #weights: Weights;
  readonly #feeds: Record<string, Value> = {};

  constructor(weights: Weights) {
    this.#weights = weights;
  }

  /** What stands behind a parameter of a graph. */
  readonly bind: Weights = (name) => {
    const binding = this.#weights(name);
    if (!binding || binding === 'input' || 'quantised' in binding || 'file' in binding) return binding;
    this.#feeds[name] ??= inFull(binding);
    return 'input';
  };

  /** What every graph that was bound is fed. */
  get feeds(): Feeds {
    return this.#feeds;
  }
}

/** A state dict to share: float32 stays in its file; what is kept in halves is converted, once. */
export async function readFrozen(
  state: ReadonlyMap<string, StoredTensor>,
): Promise<ReadonlyMap<string, StoredTensor | Value>> {
  const shared = new Map<string, StoredTensor | Value>();
  for (const [name, entry] of state) {
    shared.set(name, isHalf(entry.dtype) ? inFull(await readTensor({ ...entry, name })) : entry);
  }
  return shared;
}

const isHalf = (dtype: DType): boolean => dtype === 'float16' || dtype === 'bfloat16';

/** As graphs are fed: halves as float32. */
const inFull = (v: Value): Value => (isHalf(v.dtype) ? floats(v.shape, toFloat32(v)) : v);
