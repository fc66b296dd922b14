import { join } from 'node:path';
import { CheckpointError, isFloat, UsageError } from '../core/index.ts';
import { type Checkpoint, readJsonObject, readTensor, streamSafetensors, type TensorSource } from '../hub/index.ts';
import { weightOf } from '../runtime/index.ts';
import { copyText } from './copy-text.ts';
import { openModel } from './model-files.ts';
import { requireFloats } from './quantised-folder.ts';
import { readWeight } from './read-weight.ts';

/**
 * Writes the mean of the weights of models that went different ways from one start, as float32, one tensor at a time: often
 * better than each of them (WiSE-FT, Wortsman et al., CVPR 2022; model soups, ICML 2022). All else is the first model's.
 * Throws UsageError for fewer than two models and for quantised ones, CheckpointError naming the tensor that differs in shape
 * or is missing; the signal's reason between tensors.
 */
export async function averageModels(
  from: readonly string[],
  to: string,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const [first] = from;
  if (first === undefined || from.length < 2) {
    throw new UsageError(`average: expected two models or more, found ${from.length}`);
  }
  const checkpoints = await Promise.all(from.map(openFloats));
  const names = weightNames(checkpoints[0]!);
  for (const other of checkpoints.slice(1)) requireSame(checkpoints[0]!, other);
  const sources = names.map((name) => meanOf(name, checkpoints));
  await streamSafetensors(join(to, 'model.safetensors'), sources, { format: 'pt' }, signal);
  await copyText(first, to);
}

async function openFloats(folder: string): Promise<Checkpoint> {
  requireFloats(folder, await readJsonObject(join(folder, 'config.json')));
  return (await openModel(folder)).checkpoint;
}

/** All but the scales of int8 matrices, which are part of these. */
const weightNames = ({ entries }: Checkpoint): string[] =>
  [...entries.keys()].filter((name) => weightOf(name) === name || entries.get(weightOf(name))?.dtype !== 'int8');

function requireSame(first: Checkpoint, other: Checkpoint): void {
  for (const name of new Set([first, other].flatMap(weightNames))) {
    const [expected, found] = [first, other].map(({ entries }) => entries.get(name)?.shape);
    if (expected?.join() === found?.join()) continue;
    const shown = (shape: readonly number[] | undefined) => (shape ? `[${shape.join(', ')}]` : 'none');
    throw new CheckpointError(
      `${other.path}: expected ${name} ${shown(expected)} as in ${first.path}, found ${shown(found)}; average models of one kind`,
    );
  }
}

/** The mean of a float tensor; another, such as positions, as the first model has it. */
function meanOf(name: string, checkpoints: readonly Checkpoint[]): TensorSource {
  const { dtype, shape } = checkpoints[0]!.entry(name);
  if (!isFloat(dtype) && dtype !== 'int8') {
    return { name, dtype, shape, data: async () => (await readTensor(checkpoints[0]!.entry(name))).data };
  }
  const data = async () => {
    const weights = await Promise.all(checkpoints.map((checkpoint) => readWeight(checkpoint, name)));
    return weights[0]!.map((_, i) => weights.reduce((sum, weight) => sum + weight[i]!, 0) / weights.length);
  };
  return { name, dtype: 'float32', shape, data };
}
