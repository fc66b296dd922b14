import { type Dim, type DType, type Shape, type Value, value } from '../core/index.ts';

export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** A symbolic value: it has a type and a history, never data (constants aside). Models are functions over these. */
export interface Tensor extends TensorType {
  readonly source: Source;
}

/** Where a tensor comes from. */
export type Source =
  | { readonly kind: 'input'; readonly name: string } // fed at every run
  | { readonly kind: 'parameter'; readonly name: string } // a state-dict entry; bound when the graph is compiled
  | { readonly kind: 'constant'; readonly value: Value }
  | { readonly kind: 'dims'; readonly dims: Shape } // the numbers behind dimensions, symbols resolved at run time
  | { readonly kind: 'node'; readonly node: Node; readonly index: number };

/** One application of an operator. `outputs` are tensors whose source is this node. */
export interface Node {
  readonly op: string;
  readonly inputs: readonly (Tensor | undefined)[];
  readonly outputs: readonly Tensor[];
  readonly encoded: Encoded;
  /** One cotangent per input, from one per output (undefined where the loss does not depend on it). */
  readonly vjp: (cotangents: readonly (Tensor | undefined)[]) => readonly (Tensor | null | undefined)[];
  /** The same operator on other inputs of the same types. */
  readonly again: (inputs: readonly (Tensor | undefined)[]) => Node;
  readonly site: Site;
}

/** The stack at the line that wrote an operator. */
export interface Site {
  readonly stack?: string;
}

/** A node as ONNX wants it. Attributes: whole numbers are INT, `{ float }` is FLOAT, lists are INTS. */
export interface Encoded {
  readonly opType: string;
  readonly domain: string;
  readonly operands: readonly (Tensor | undefined)[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}
export type Attribute = number | string | readonly number[] | { readonly float: number };

/** A value fed at every run. */
export const input = (name: string, dtype: DType, shape: Shape): Tensor => ({
  dtype,
  shape,
  source: { kind: 'input', name },
});

/** An entry of the model's state dict. */
export const parameter = (name: string, dtype: DType, shape: Shape): Tensor => ({
  dtype,
  shape,
  source: { kind: 'parameter', name },
});

/** A value known while the graph is written. */
export const constant = (v: Value): Tensor => ({
  dtype: v.dtype,
  shape: v.shape,
  source: { kind: 'constant', value: v },
});

/** A constant from plain numbers; a scalar unless `shape` says otherwise. */
export function numbers(data: number | readonly number[], dtype: DType, shape?: readonly number[]): Tensor {
  const list = typeof data === 'number' ? [data] : data;
  const dims = shape ?? (typeof data === 'number' ? [] : [data.length]);
  if (dtype === 'int64')
    return constant(
      value(
        'int64',
        dims,
        BigInt64Array.from(list, (x) => BigInt(x)),
      ),
    );
  if (dtype === 'float64') return constant(value('float64', dims, Float64Array.from(list)));
  if (dtype === 'int32') return constant(value('int32', dims, Int32Array.from(list)));
  if (dtype === 'bool') return constant(value('bool', dims, Uint8Array.from(list)));
  if (dtype === 'float32') return constant(value('float32', dims, Float32Array.from(list)));
  throw new TypeError(`numbers: no constants of ${dtype}`);
}

/** The numbers of a shape as an int64 vector; a symbol becomes its value at run time. */
export const dims = (shape: Shape): Tensor =>
  shape.every((d): d is number => typeof d === 'number')
    ? numbers(shape, 'int64')
    : { dtype: 'int64', shape: [shape.length], source: { kind: 'dims', dims: shape } };

/** The name of a leaf, or the operator that made the tensor. */
export function nameOf({ source }: Tensor): string {
  if (source.kind === 'node') return source.node.op;
  return source.kind === 'input' || source.kind === 'parameter' ? source.name : source.kind;
}

/** `float32[batch, 32, 768]`. */
export const showType = ({ dtype, shape }: TensorType): string => `${dtype}[${shape.join(', ')}]`;

/** `name: float32[batch, 32, 768]`. */
export const show = (t: Tensor): string => `${nameOf(t)}: ${showType(t)}`;

export const rank = (t: TensorType): number => t.shape.length;

/** A dimension that has to be a number here; `what` says for what. */
export function fixed(d: Dim | undefined, what: string): number {
  if (typeof d !== 'number') throw new TypeError(`${what} must be a fixed dimension, got ${d}`);
  return d;
}
