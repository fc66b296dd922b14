import { isFloat } from '../core/index.ts';
import { writtenAt } from './define-op.ts';
import { add } from './ops/elementwise.ts';
import { expand, reshape } from './ops/movement.ts';
import { reduceSum } from './ops/reduce.ts';
import { type Node, numbers, type Tensor } from './tensor.ts';

/**
 * Reverse-mode gradients of a scalar `loss` with respect to `wrt`, as new tensors of the same graph. Only what lies
 * between `wrt` and the loss is differentiated, so frozen parts cost their forward pass and nothing else.
 * Throws TypeError where the loss is not a scalar.
 */
export function differentiate(loss: Tensor, wrt: readonly Tensor[]): Tensor[] {
  if (loss.shape.length !== 0) throw new TypeError(`differentiate: the loss must be a scalar, got [${loss.shape}]`);
  const targets = new Set(wrt);
  const nodes = nodesBetween(targets, loss);
  const cotangents = new Map<Tensor, Tensor>([[loss, numbers(1, loss.dtype)]]);
  const live = new Set<Tensor>([...targets, ...nodes.flatMap((node) => node.outputs)]);

  for (const node of nodes.reverse()) {
    const g = node.outputs.map((output) => cotangents.get(output));
    if (g.every((cotangent) => cotangent === undefined)) continue;
    writtenAt(node.site, () => {
      node.vjp(g).forEach((raw, i) => {
        const x = node.inputs[i];
        if (!raw || !x || !live.has(x) || !isFloat(x.dtype)) return;
        const dx = unbroadcast(raw, x);
        const sum = cotangents.get(x);
        cotangents.set(x, sum ? add(sum, dx) : dx);
      });
    });
  }
  return wrt.map((x) => cotangents.get(x) ?? zerosLike(x));
}

/** The nodes on a path from `targets` to `loss`, inputs first. Iterative: graphs are deeper than the call stack. */
function nodesBetween(targets: ReadonlySet<Tensor>, loss: Tensor): Node[] {
  const reaches = new Map<Node, boolean>();
  const order: Node[] = [];
  const nodeOf = (t: Tensor | undefined) => (t?.source.kind === 'node' ? t.source.node : undefined);
  const root = nodeOf(loss);
  const stack = root ? [root] : [];
  while (stack.length > 0) {
    const node = stack.at(-1)!;
    const pending = node.inputs.map(nodeOf).filter((n): n is Node => n !== undefined && !reaches.has(n));
    if (pending.length > 0 && !reaches.has(node)) {
      stack.push(...pending);
      continue;
    }
    stack.pop();
    if (reaches.has(node)) continue;
    const does = node.inputs.some((t) => t && (targets.has(t) || (nodeOf(t) && reaches.get(nodeOf(t)!))));
    reaches.set(node, does || node.outputs.some((t) => targets.has(t)));
    if (does) order.push(node);
  }
  return order;
}

/** Sums a cotangent over the axes along which its tensor was broadcast. */
function unbroadcast(g: Tensor, to: Tensor): Tensor {
  const lead = g.shape.length - to.shape.length;
  const axes = g.shape.flatMap((d, i) => (i < lead || (to.shape[i - lead] === 1 && d !== 1) ? [i] : []));
  if (axes.length === 0) return g;
  return reshape(reduceSum(g, { axes, keepDims: false }), { shape: to.shape });
}

/** A target that the loss does not depend on has a zero gradient (as a head has under another head's loss). */
const zerosLike = (x: Tensor): Tensor => expand(numbers(0, x.dtype), { shape: x.shape });
