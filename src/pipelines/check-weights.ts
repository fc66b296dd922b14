import { CheckpointError } from '../core/index.ts';
import type { Tensor } from '../graph/index.ts';
import type { Checkpoint } from '../hub/index.ts';
import { scaleOf } from '../runtime/index.ts';

/** Names that checkpoints may hold and no inference graph asks for: ITC's temperature, and buffers of old exports. */
const unused = /^temp$|\.position_ids$|\.inv_freq$|\.mask_token$/;

/**
 * Strict loading: what a model declares is what its checkpoint holds. Throws CheckpointError that lists the missing, the
 * misshapen and the unexpected tensors.
 */
export function checkWeights(checkpoint: Checkpoint, declared: ReadonlyMap<string, Tensor>): void {
  const { entries, path } = checkpoint;
  const scales = new Set([...entries].flatMap(([name, { dtype }]) => (dtype === 'int8' ? [scaleOf(name)] : [])));
  const known = (name: string) => declared.has(name) || scales.has(name) || unused.test(name);
  const missing = [...declared.keys(), ...scales].filter((name) => !entries.has(name));
  const unexpected = [...entries.keys()].filter((name) => !known(name));
  const misshapen = [...declared].flatMap(([name, { shape }]) => {
    const found = entries.get(name)?.shape;
    return !found || found.join() === shape.join() ? [] : [`${name} is [${found}], not [${shape}]`];
  });
  const problems = Object.entries({ missing, misshapen, unexpected }).filter(([, names]) => names.length > 0);
  if (problems.length === 0) return;
  const lists = problems.map(([problem, names]) => `${names.length} ${problem} (${shorten(names)})`);
  throw new CheckpointError(`${path}: the weights are not those of the model in config.json: ${lists.join('; ')}`);
}

const shorten = (names: readonly string[]): string =>
  names.length <= 5 ? names.join(', ') : `${names.slice(0, 5).join(', ')}, …`;
