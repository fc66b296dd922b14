import {
  add,
  div,
  fixed,
  mul,
  type Node,
  parameter,
  reduceMean,
  reduceSum,
  rewrite,
  sqrt,
  sub,
  type Tensor,
} from '../graph/index.ts';
import { formats, partNames } from './formats.ts';
import { blockOf, type Parts } from './pack.ts';
import type { Format, LinearWeight, RowFormat } from './policy.ts';
import { roundedInBlocks } from './products.ts';

type Graph = Readonly<Record<string, Tensor>>;

/** A product of rows with a weight of the state dict, and what is added to it. */
interface LinearLayer {
  readonly x: Tensor;
  readonly weight: LinearWeight;
  readonly bias: Tensor | undefined;
}

/** The linear layer that a node is, if it is one. */
function linearLayer({ op, inputs: [x, weight, bias], encoded: { attributes } }: Node): LinearLayer | undefined {
  const isLinear = op === 'Gemm' && attributes.transA === 0 && attributes.transB === 1 && isOne(attributes.alpha);
  if (!isLinear || !x || weight?.source.kind !== 'parameter') return undefined;
  const [out, width] = weight.shape.map((d) => fixed(d, "a linear layer's weight"));
  return { x, weight: { name: weight.source.name, out: out!, width: width! }, bias };
}

const isOne = (alpha: Node['encoded']['attributes'][string] | undefined): boolean =>
  typeof alpha === 'object' && 'float' in alpha && alpha.float === 1;

/** The weights of linear layers in some graphs of one model, by name. */
export function linearWeights(graphs: readonly Graph[]): Map<string, LinearWeight & { readonly shared: boolean }> {
  const linear = new Map<string, LinearWeight>();
  const others = new Set<string>();
  for (const graph of graphs) {
    rewrite(graph, (node) => {
      const layer = linearLayer(node);
      if (layer) linear.set(layer.weight.name, layer.weight);
      for (const { source } of node.inputs.filter((t) => t !== undefined)) {
        if (source.kind === 'parameter' && source.name !== layer?.weight.name) others.add(source.name);
      }
      return undefined;
    });
  }
  return new Map([...linear].map(([name, weight]) => [name, { ...weight, shared: others.has(name) }]));
}

/** A layer's product with other rows than its own. */
type Product = (rows: Tensor) => Tensor;

/**
 * The same graph with its linear layers computed in the format that `formatOf` gives for their weights. `onLayer` is told of
 * each, with what its weight makes of its own rows, and of any.
 */
export const quantise = <O extends string>(
  outputs: Readonly<Record<O, Tensor>>,
  formatOf: (weight: string) => Format | undefined,
  onLayer?: (layer: LinearLayer, y: Tensor, product: Product) => void,
): Readonly<Record<O, Tensor>> =>
  rewrite(outputs, (node) => {
    const layer = linearLayer(node);
    const format = layer && formatOf(layer.weight.name);
    if (!format) return undefined;
    const { x, weight, bias } = layer;
    const parts = declare(weight, format);
    const product = (rows: Tensor) => formats[format].product(rows, parts, weight);
    const y = product(x);
    onLayer?.(layer, y, product);
    return [bias ? add(y, bias) : y];
  });

/**
 * How far rounding their rows would move the outputs of some layers, kept in the format that `formatOf` gives: by the names
 * of their weights, a scalar for each format that rounds rows, ‖Δy‖ / ‖y‖ averaged over the rows.
 */
export function rowErrors(
  outputs: Graph,
  formatOf: (weight: string) => Format | undefined,
  measured: (weight: LinearWeight) => boolean,
): Map<string, Readonly<Record<RowFormat, Tensor>>> {
  const errors = new Map<string, Record<RowFormat, Tensor>>();
  quantise(outputs, formatOf, ({ x, weight }, y, product) => {
    if (!measured(weight)) return;
    const error = (block: number) => movement(product(roundedInBlocks(x, block)), y);
    const { name, width } = weight;
    errors.set(name, { int8_blocks: error(blockOf(width)!), int8_columns: error(width) });
  });
  return errors;
}

/** ‖a − b‖ / ‖b‖ of rows [N, D], averaged; rows of zeros do not move. */
function movement(a: Tensor, b: Tensor): Tensor {
  const square = (x: Tensor) => reduceSum(mul(x, x), { axes: [1], keepDims: false });
  const ratio = div(square(sub(a, b)), add(square(b), 1e-30));
  return reduceMean(sqrt(ratio), { axes: [0], keepDims: false });
}

/** A weight's tensors as entries of the state dict. */
export function declare(weight: LinearWeight, format: Format): Parts<Tensor> {
  const names = partNames(weight.name, format);
  const types = formats[format].types(weight);
  return {
    weight: parameter(names.weight, types.weight.dtype, types.weight.shape),
    scale: parameter(names.scale, types.scale.dtype, types.scale.shape),
  };
}
