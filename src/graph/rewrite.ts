import { writtenAt } from './define-op.ts';
import type { Node, Tensor } from './tensor.ts';
import { nodesOf } from './walk.ts';

/** What stands in the place of a node's outputs, made of its inputs; undefined leaves the node as it is. */
export type Replace = (node: Node) => readonly Tensor[] | undefined;

/**
 * The same graph with some nodes replaced. `replace` sees every node that the outputs depend on, after what it depends
 * on has been replaced; what it writes counts as written where the node was.
 */
export function rewrite<O extends string>(
  outputs: Readonly<Record<O, Tensor>>,
  replace: Replace,
): Readonly<Record<O, Tensor>> {
  const current = new Map<Tensor, Tensor>();
  const now = (t: Tensor): Tensor => current.get(t) ?? t;
  for (const node of nodesOf(Object.values<Tensor>(outputs))) {
    writtenAt(node.site, () => {
      const inputs = node.inputs.map((t) => t && now(t));
      const moved = inputs.every((t, i) => t === node.inputs[i]) ? node : node.again(inputs);
      const results = replace(moved) ?? moved.outputs;
      node.outputs.forEach((output, i) => {
        current.set(output, results[i]!);
      });
    });
  }
  const entries = Object.entries<Tensor>(outputs).map(([name, t]) => [name, now(t)] as const);
  return Object.fromEntries(entries) as Record<O, Tensor>;
}
