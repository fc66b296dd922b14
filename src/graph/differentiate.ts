import { isFloat } from '../core/index.ts';
import { Recomputation } from './block.ts';
import { writtenAt } from './define-op.ts';
import { add } from './ops/elementwise.ts';
import { expand, reshape } from './ops/movement.ts';
import { reduceSum } from './ops/reduce.ts';
import { numbers, type Tensor } from './tensor.ts';
import { nodesOf } from './walk.ts';

/**
 * Reverse-mode gradients of a scalar `loss` with respect to `wrt`, as new tensors of the same graph. Only what lies
 * between `wrt` and the loss is differentiated, so frozen parts cost their forward pass and nothing else.
 * `recompute` keeps only the ends of marked blocks (see `markBlock`) for the backward pass: memory for about a third more
 * time, and the same numbers. Throws TypeError where the loss is not a scalar.
 */
export function differentiate(
  loss: Tensor,
  wrt: readonly Tensor[],
  { recompute = false }: { recompute?: boolean } = {},
): Tensor[] {
  if (loss.shape.length !== 0) throw new TypeError(`differentiate: the loss must be a scalar, got [${loss.shape}]`);
  const live = new Set(wrt); // and everything that depends on them
  const nodes = nodesOf([loss]).filter((node) => {
    const depends = node.inputs.some((x) => x && live.has(x));
    if (depends) for (const output of node.outputs) live.add(output);
    return depends;
  });
  const cotangents = new Map<Tensor, Tensor>([[loss, numbers(1, loss.dtype)]]);
  const recomputation = recompute ? new Recomputation() : undefined;

  for (const node of nodes.reverse()) {
    const g = node.outputs.map((output) => cotangents.get(output));
    const known = g.find((cotangent) => cotangent !== undefined);
    if (known === undefined) continue;
    writtenAt(node.site, () => {
      (recomputation?.of(node, known) ?? node).vjp(g).forEach((raw, i) => {
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

/** Sums a cotangent over the axes along which its tensor was broadcast. */
function unbroadcast(g: Tensor, to: Tensor): Tensor {
  const lead = g.shape.length - to.shape.length;
  const axes = g.shape.flatMap((d, i) => (i < lead || (to.shape[i - lead] === 1 && d !== 1) ? [i] : []));
  if (axes.length === 0) return g;
  const sum = reduceSum(g, { axes, keepDims: false });
  return sum.shape.length === to.shape.length ? sum : reshape(sum, { shape: to.shape });
}

/** A target that the loss does not depend on has a zero gradient (as a head has under another head's loss). */
const zerosLike = (x: Tensor): Tensor => expand(numbers(0, x.dtype), { shape: x.shape });
