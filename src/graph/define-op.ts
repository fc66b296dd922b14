import { ShapeError } from '../core/index.ts';
import { type Attribute, type Encoded, type Node, type Site, show, type Tensor, type TensorType } from './tensor.ts';

/** Inputs of an operator; an optional ONNX input may be undefined. */
export type Inputs = readonly (Tensor | undefined)[];
// biome-ignore lint/complexity/noBannedTypes: `{}` is "no attributes", which Args below turns into "no argument".
type NoAttributes = {};
type Args<I extends Inputs, A> = keyof A extends never
  ? [...I]
  : NoAttributes extends A
    ? [...I, attrs?: A]
    : [...I, attrs: A];

/** How an ONNX node differs from "the operator's name, its inputs, its attributes as given". */
export interface Encoding {
  readonly opType?: string;
  readonly operands?: readonly (Tensor | undefined)[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

export interface OpRule<I extends Inputs, A extends object> {
  readonly domain?: string;
  /** The output's type; throws ShapeError where the inputs do not fit. */
  infer(inputs: I, attrs: A): TensorType;
  /**
   * Vector-Jacobian product: one cotangent per input, null where the operator does not differentiate. A cotangent may
   * have the output's broadcast shape: `differentiate` sums it back, once, for every operator. Never optional.
   */
  vjp(g: Tensor, node: { inputs: I; output: Tensor; attrs: A }): readonly (Tensor | null)[];
  encode?(inputs: I, attrs: A, output: TensorType): Encoding;
}

export interface MultiOpRule<I extends Inputs, A extends object, O extends string> {
  readonly domain?: string;
  readonly outputs: readonly O[];
  infer(inputs: I, attrs: A): Record<O, TensorType>;
  vjp(
    g: Partial<Record<O, Tensor>>,
    node: { inputs: I; outputs: Record<O, Tensor>; attrs: A },
  ): readonly (Tensor | null)[];
  encode?(inputs: I, attrs: A, outputs: Record<O, TensorType>): Encoding;
}

export type Op<I extends Inputs, A extends object = NoAttributes> = (...args: Args<I, A>) => Tensor;
export type MultiOp<I extends Inputs, A extends object, O extends string> = (...args: Args<I, A>) => Record<O, Tensor>;

/** Everything the library knows about one operator with one output: its shape rule, its gradient, its encoding. */
export function defineOp<I extends Inputs, A extends object = NoAttributes>(
  name: string,
  rule: OpRule<I, A>,
): Op<I, A> {
  const { infer, vjp, encode } = rule;
  const multi = defineMultiOp<I, A, 'output'>(name, {
    ...(rule.domain === undefined ? {} : { domain: rule.domain }),
    outputs: ['output'],
    infer: (inputs, attrs) => ({ output: infer(inputs, attrs) }),
    vjp: (g, { inputs, outputs: { output }, attrs }) => (g.output ? vjp(g.output, { inputs, output, attrs }) : []),
    ...(encode
      ? {
          encode: (inputs: I, attrs: A, outputs: Record<'output', TensorType>) => encode(inputs, attrs, outputs.output),
        }
      : {}),
  });
  return operator((...args: Args<I, A>) => multi(...args).output);
}

/** The same for an operator with several outputs, returned by name. */
export function defineMultiOp<I extends Inputs, A extends object, O extends string>(
  name: string,
  rule: MultiOpRule<I, A, O>,
): MultiOp<I, A, O> {
  return operator((...args: Args<I, A>) => {
    const [inputs, attrs] = splitArguments<I, A>(args);
    const types = inferTypes(name, inputs, () => rule.infer(inputs, attrs));
    return buildNode(name, rule, { inputs, attrs, types }).named;
  });
}

/** The operator that user code called and that is being written now; operators may be made of others. */
let outermost: ((...args: never[]) => unknown) | undefined;
/** Where the nodes of a gradient count as written: at the line of the operator that is differentiated. */
let inherited: Site | undefined;

/**
 * Makes a function over tensors an operator to its callers: a ShapeError's stack, and the site of every node it writes,
 * begin at the line that called it. Nested operators belong to the outermost.
 */
export function operator<A extends unknown[], R>(build: (...args: A) => R): (...args: A) => R {
  const op = (...args: A): R => {
    if (outermost) return build(...args);
    outermost = op;
    try {
      return build(...args);
    } catch (error) {
      if (error instanceof ShapeError) Error.captureStackTrace(error, op);
      throw error;
    } finally {
      outermost = undefined;
    }
  };
  return op;
}

/** Runs `build` with its nodes counted as written at `site`. */
export function writtenAt<T>(site: Site, build: () => T): T {
  const before = inherited;
  inherited = site;
  try {
    return build();
  } finally {
    inherited = before;
  }
}

function currentSite(): Site {
  if (inherited) return inherited;
  const site: { stack?: string } = {};
  Error.captureStackTrace(site, outermost);
  return site;
}

/** The attributes are the last argument where it is not a tensor. */
function splitArguments<I extends Inputs, A extends object>(args: readonly unknown[]): [I, A] {
  const last = args.at(-1);
  const isAttributes = typeof last === 'object' && last !== null && !('source' in last);
  return (isAttributes ? [args.slice(0, -1), last] : [args, {}]) as unknown as [I, A];
}

/** Names the operator and its operands in a ShapeError of its rule. */
function inferTypes<T>(name: string, inputs: Inputs, infer: () => T): T {
  try {
    return infer();
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    throw new ShapeError(`${name}(${inputs.map((t) => (t ? show(t) : 'none')).join(', ')}): ${error.message}`);
  }
}

function buildNode<I extends Inputs, A extends object, O extends string>(
  name: string,
  rule: MultiOpRule<I, A, O>,
  { inputs, attrs, types }: { inputs: I; attrs: A; types: Record<O, TensorType> },
): { node: Node; named: Record<O, Tensor> } {
  const outputs: Tensor[] = [];
  const named: Partial<Record<O, Tensor>> = {};
  const node: Node = {
    op: name,
    inputs,
    outputs,
    site: currentSite(),
    encoded: encodeNode(name, rule, { inputs, attrs, types }),
    vjp: (cotangents) => {
      const g: Partial<Record<O, Tensor>> = {};
      rule.outputs.forEach((output, i) => {
        if (cotangents[i]) g[output] = cotangents[i];
      });
      return rule.vjp(g, { inputs, outputs: complete(named), attrs });
    },
    again: (others) => buildNode(name, rule, { inputs: others as I, attrs, types }).node,
  };
  rule.outputs.forEach((output, index) => {
    const tensor: Tensor = { ...types[output], source: { kind: 'node', node, index } };
    outputs.push(tensor);
    named[output] = tensor;
  });
  return { node, named: complete(named) };
}

/** Every key is set: the loop above runs over all of `rule.outputs`. */
const complete = <O extends string>(named: Partial<Record<O, Tensor>>): Record<O, Tensor> => named as Record<O, Tensor>;

function encodeNode<I extends Inputs, A extends object, O extends string>(
  name: string,
  rule: MultiOpRule<I, A, O>,
  { inputs, attrs, types }: { inputs: I; attrs: A; types: Record<O, TensorType> },
): Encoded {
  const encoding = rule.encode?.(inputs, attrs, types) ?? {};
  return {
    opType: encoding.opType ?? name,
    domain: rule.domain ?? '',
    operands: encoding.operands ?? inputs,
    attributes: encoding.attributes ?? (attrs as Readonly<Record<string, Attribute>>),
  };
}
