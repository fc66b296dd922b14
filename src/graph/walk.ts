import type { Node, Tensor } from './tensor.ts';

/**
 * Every node that `roots` depend on, operands before what uses them; none behind the tensors `until`. Iterative: graphs
 * are deeper than the call stack.
 */
export function nodesOf(roots: readonly Tensor[], until: ReadonlySet<Tensor> = new Set()): Node[] {
  const done = new Set<Node>(); // in order of insertion
  const nodeBehind = (t: Tensor | undefined): Node[] =>
    t?.source.kind === 'node' && !until.has(t) ? [t.source.node] : [];
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

/** The names of those `leaves` that `roots` depend on, in their order. */
export function dependencies(roots: readonly Tensor[], leaves: ReadonlyMap<string, Tensor>): string[] {
  const read = new Set<Tensor | undefined>([...roots, ...nodesOf(roots).flatMap(({ inputs }) => inputs)]);
  return [...leaves].filter(([, leaf]) => read.has(leaf)).map(([name]) => name);
}
