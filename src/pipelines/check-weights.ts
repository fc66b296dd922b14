import { CheckpointError, firstNames, isFloat } from '../core/index.ts';
import type { Tensor } from '../graph/index.ts';
import type { Checkpoint, TensorEntry } from '../hub/index.ts';
import { scaleOf } from '../runtime/index.ts';

/**
 * Names that checkpoints may hold and no inference graph asks for: ITC's temperature, buffers of old exports, and second
 * copies of a language model's tied tables.
 */
const unused =
  /^temp$|\.position_ids$|\.inv_freq$|\.mask_token$|^language_model\.(lm_head|(encoder|decoder)\.embed_tokens)\.weight$/;

/**
 * Strict loading: what a model declares is what its checkpoint holds. Throws CheckpointError that lists the missing, the
 * misshapen, the mistyped and the unexpected tensors.
 */
export function checkWeights(checkpoint: Checkpoint, declared: ReadonlyMap<string, Tensor>): void {
  const { entries, path } = checkpoint;
  const stands = ([name, { dtype }]: [string, TensorEntry]) => dtype === 'int8' && declared.get(name)?.dtype !== 'int8';
  const scales = new Set([...entries].filter(stands).map(([name]) => scaleOf(name))); // of int8 that stands for floats
  const known = (name: string) => declared.has(name) || scales.has(name) || unused.test(name);
  const missing = [...declared.keys(), ...scales].filter((name) => !entries.has(name));
  const unexpected = [...entries.keys()].filter((name) => !known(name));
  const misshapen = [...declared].flatMap(([name, { shape }]) => {
    const found = entries.get(name)?.shape;
    return !found || found.join() === shape.join() ? [] : [`${name} is [${found}], not [${shape}]`];
  });
  const mistyped = [...declared].flatMap(([name, { dtype }]) => {
    const found = entries.get(name)?.dtype;
    const fits = !found || found === dtype || scales.has(scaleOf(name)) || (isFloat(found) && isFloat(dtype));
    return fits ? [] : [`${name} is ${found}, not ${dtype}`];
  });
  const problems = Object.entries({ missing, misshapen, mistyped, unexpected }).filter(([, names]) => names.length > 0);
  if (problems.length === 0) return;
  const lists = problems.map(([problem, names]) => `${names.length} ${problem} (${firstNames(names)})`);
  throw new CheckpointError(`${path}: the weights are not those of the model in config.json: ${lists.join('; ')}`);
}
