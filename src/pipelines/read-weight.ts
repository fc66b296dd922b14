import { multiplyRows, toFloat32 } from '../core/index.ts';
import { type Checkpoint, readTensor } from '../hub/index.ts';
import { scaleOf } from '../runtime/index.ts';

/** A weight as float32, whatever it is stored in: int8 rows are multiplied with their scales. */
export async function readWeight(checkpoint: Checkpoint, name: string): Promise<Float32Array> {
  const stored = await readTensor(checkpoint.entry(name));
  const weight = toFloat32(stored);
  const scale = stored.dtype === 'int8' ? checkpoint.entries.get(scaleOf(name)) : undefined;
  return scale ? multiplyRows(weight, toFloat32(await readTensor(scale))) : weight;
}
