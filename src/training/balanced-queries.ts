import type { QueryPass } from '../blip2/index.ts';
import { floats, toFloat32, type Value } from '../core/index.ts';
import type { Tensor } from '../graph/index.ts';
import { crossAttentionLayers } from '../models/index.ts';
import { type QueriesOnPictures, readStates } from './queries-on-pictures.ts';

/**
 * Queries that are heard among what the layers add to them. Training has cross-attention and feed-forward networks add ever
 * more, and after each the norm makes the sum as long as it was: in the end nothing of a query's own is left, and many
 * queries are one. Here each of them is scaled down to add no more than a query is long when it begins; what they say stays
 * the same. docs/findings.md has what it brings.
 */
export async function balanceQueries(inputs: QueriesOnPictures): Promise<ReadonlyMap<string, Value>> {
  const { qformer_config: c } = inputs.config;
  const balanced = new Map(inputs.trained);
  const states = (choose: (pass: QueryPass) => Tensor) => readStates({ ...inputs, trained: balanced }, choose);
  const seeing = crossAttentionLayers(c);
  const start = meanLength(await states((pass) => pass.embedded));
  const scaleDown = async (part: string, choose: (pass: QueryPass) => Tensor) => {
    // Each is measured after those before it have been scaled.
    const factor = start / meanLength(await states(choose));
    if (factor >= 1) return;
    for (const kind of ['weight', 'bias']) {
      const name = `qformer.encoder.layer.${part}.dense.${kind}`;
      const value = balanced.get(name)!;
      const scaled = toFloat32(value).map((x) => factor * x);
      balanced.set(name, floats([...value.shape], scaled));
    }
  };

  for (let layer = 0; layer < c.num_hidden_layers; layer++) {
    const index = seeing.indexOf(layer);
    if (index >= 0) await scaleDown(`${layer}.crossattention.output`, (pass) => pass.crossAttention[index]!.added);
    await scaleDown(`${layer}.output_query`, (pass) => pass.fedForward[layer]!);
  }
  return balanced;
}

/** The mean length of the rows of the last dimension. */
function meanLength(states: Value): number {
  const width = states.shape.at(-1)!;
  const data = toFloat32(states);
  const rows = data.length / width;
  const lengths = Array.from({ length: rows }, (_, row) =>
    Math.hypot(...data.subarray(row * width, (row + 1) * width)),
  );
  return lengths.reduce((sum, length) => sum + length, 0) / rows;
}
