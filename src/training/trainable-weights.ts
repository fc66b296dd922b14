import { floats, multiplyRows, type StoredTensor, toFloat32, type Value } from '../core/index.ts';
import { readTensor } from '../hub/index.ts';
import { scaleOf, scalesIn } from '../runtime/index.ts';

/** A state dict as values to train from: int8 weights are multiplied out by their rows' scales. */
export async function trainableWeights(state: ReadonlyMap<string, StoredTensor>): Promise<Map<string, Value>> {
  const scales = scalesIn(state);
  const weights = new Map<string, Value>();
  for (const [name, entry] of state) {
    if (scales.has(name)) continue;
    const stored = await readTensor({ ...entry, name });
    const scale = entry.dtype === 'int8' ? state.get(scaleOf(name)) : undefined;
    const factors = scale && toFloat32(await readTensor({ ...scale, name: scaleOf(name) }));
    weights.set(name, factors ? floats(stored.shape, multiplyRows(toFloat32(stored), factors)) : stored);
  }
  return weights;
}
