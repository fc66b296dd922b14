import { equal, where } from './ops/elementwise.ts';
import { reshape, slice } from './ops/movement.ts';
import type { Node, Tensor } from './tensor.ts';
import { nodesOf } from './walk.ts';

/** A stretch of a graph, such as a layer: what lies between its inputs and its outputs, operands first. */
interface Block {
  readonly inputs: ReadonlySet<Tensor>;
  readonly nodes: readonly Node[];
}

const blocks = new WeakMap<Node, Block>();

/**
 * Marks what lies between `inputs` and `outputs` as one block. It changes nothing by itself: `differentiate` may be asked
 * to keep only the ends of blocks for the backward pass, and to compute what is inside them again there (Chen et al.
 * 2016, arXiv:1604.06174).
 */
export function markBlock(inputs: readonly (Tensor | undefined)[], outputs: readonly (Tensor | undefined)[]): void {
  const ends = new Set(inputs.filter((t) => t !== undefined));
  const inside = new Set(ends);
  const nodes = nodesOf(
    outputs.filter((t) => t !== undefined),
    ends,
  ).filter((node) => {
    const depends = node.encoded.operands.some((t) => t && inside.has(t));
    if (depends) for (const output of node.outputs) inside.add(output);
    return depends;
  });
  const block = { inputs: ends, nodes };
  for (const node of nodes) if (!blocks.has(node)) blocks.set(node, block);
}

/** The blocks of one backward pass, each computed again once its first cotangent is known. */
export class Recomputation {
  readonly #again = new Map<Block, ReadonlyMap<Node, Node>>();

  /** The node whose operands and results a gradient may read: of the second time where it lies in a block. */
  of(node: Node, cotangent: Tensor): Node {
    const block = blocks.get(node);
    if (!block) return node;
    const again = this.#again.get(block) ?? computeAgain(block, cotangent);
    this.#again.set(block, again);
    return again.get(node) ?? node;
  }
}

function computeAgain({ inputs, nodes }: Block, cotangent: Tensor): Map<Node, Node> {
  const now = new Map([...inputs].map((x) => [x, after(x, cotangent)]));
  const again = new Map<Node, Node>();
  for (const node of nodes) {
    const copy = node.again(node.inputs.map((x) => x && (now.get(x) ?? x)));
    again.set(node, copy);
    node.outputs.forEach((output, i) => {
      now.set(output, copy.outputs[i]!);
    });
  }
  return again;
}

/**
 * `x`, but not before `y` is known. A runtime neither sees through it nor merges what is computed from it with what was
 * computed from `x` the first time.
 */
function after(x: Tensor, y: Tensor): Tensor {
  const one = reshape(
    y.shape.reduce((t: Tensor, _, axis) => slice(t, { axis, end: 1 }), y),
    { shape: [] },
  );
  return where(equal(one, one), x, x);
}
