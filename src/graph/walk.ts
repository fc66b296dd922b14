import type { Node, Tensor } from './tensor.ts';

/** Every node that `roots` depend on, operands before what uses them. Iterative: graphs are deeper than the call stack. */
export function nodesOf(roots: readonly Tensor[]): Node[] {
  const done = new Set<Node>(); // in order of insertion
  const stack = roots.toReversed().flatMap(nodeBehind);
  while (stack.length > 0) {
    const node = stack.at(-1)!;
    const pending = node.encoded.operands.flatMap(nodeBehind).filter((n) => !done.has(n));
    if (pending.length > 0) stack.push(...pending.toReversed());
    else {
      done.add(node);
      stack.pop();
    }
  }
  return [...done];
}

const nodeBehind = (t: Tensor | undefined): Node[] => (t?.source.kind === 'node' ? [t.source.node] : []);
