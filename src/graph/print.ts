import type { Value } from '../core/index.ts';
import type { Outputs } from './onnx/encode.ts';
import { type Attribute, type Node, show, showType, type Tensor } from './tensor.ts';
import { nodesOf } from './walk.ts';

/**
 * A graph to read: what it is fed, then one line a node in the order of computation, then its outputs.
 *
 *     x: float32[batch, 3]
 *     %0: float32[batch, 4] = Gemm(x, weight, none, transB: 1, alpha: 1)
 *     y = %0
 */
export function printGraph(outputs: Outputs): string {
  const nodes = nodesOf(Object.values(outputs));
  const names = new Map<Tensor, string>();
  const nameOf = (t: Tensor | undefined): string => (t ? (names.get(t) ?? leaf(t)) : 'none');
  const body = nodes.map((node) => {
    for (const output of node.outputs) names.set(output, `%${names.size}`);
    const results = node.outputs.map((output) => `${nameOf(output)}: ${showType(output)}`);
    return `${results.join(', ')} = ${node.encoded.opType}(${listArguments(node, nameOf).join(', ')})`;
  });
  const leaves = new Set([...nodes.flatMap(({ encoded }) => encoded.operands), ...Object.values(outputs)]);
  const fed = [...leaves].filter((t) => t?.source.kind === 'input' || t?.source.kind === 'parameter');
  const results = Object.entries(outputs).map(([name, t]) => `${name} = ${nameOf(t)}`);
  return [...fed.flatMap((t) => (t ? [show(t)] : [])), ...body, ...results].join('\n');
}

const listArguments = ({ encoded }: Node, nameOf: (t: Tensor | undefined) => string): string[] => [
  ...encoded.operands.map(nameOf),
  ...Object.entries(encoded.attributes).map(([key, value]) => `${key}: ${showAttribute(value)}`),
];

function leaf(t: Tensor): string {
  const { source } = t;
  if (source.kind === 'dims') return `[${source.dims.join(', ')}]`;
  if (source.kind === 'constant') return showConstant(source.value);
  return source.kind === 'node' ? source.node.op : source.name;
}

/** Numbers where they are few, the type where they are many. */
function showConstant(v: Value): string {
  if (v.data.length > 8) return showType(v);
  return v.shape.length === 0 ? `${v.data[0]}` : `[${v.data.join(', ')}]`;
}

function showAttribute(a: Attribute): string {
  if (typeof a === 'number' || typeof a === 'string') return `${a}`;
  return 'float' in a ? `${a.float}` : `[${a.join(', ')}]`;
}
