import { create, toBinary } from '@bufbuild/protobuf';
import { type Dim, dtypes, elements, type StoredTensor, termsOf, type Value } from '../../core/index.ts';
import { type Node, type Site, show, type Tensor, type TensorType } from '../tensor.ts';
import { nodesOf } from '../walk.ts';
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProto_DataLocation,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from './onnx_pb.ts';

/** ONNX operator set 21 (IR version 10) and ONNX Runtime's contrib operators, version 1. */
export const opset = { irVersion: 10n, onnx: 21n, contrib: 1n } as const;

/** Numbers in a file, read where they lie, or in memory. */
type Data = StoredTensor | Value;
/** int8 numbers and a scale for each entry of their first axis [out]: the weight is their product. */
export interface Quantised {
  readonly quantised: Data;
  readonly scale: Data;
}
/** What stands behind a parameter: data, or `input`: fed at every run, as trained ones are. */
export type Binding = Data | Quantised | 'input';
export type Outputs = Readonly<Record<string, Tensor>>;

export interface ModelInput extends TensorType {
  readonly name: string;
}

export interface EncodedModel {
  readonly bytes: Uint8Array;
  readonly inputs: readonly ModelInput[];
  /** The stack of the line that wrote each node, by the node's name: ONNX Runtime's errors name nodes. */
  readonly sites: ReadonlyMap<string, Site>;
}

/**
 * The graph behind `outputs` as a standard ONNX model. `bind` says what stands behind each parameter (default: an
 * input); a stored tensor of another dtype than the graph's is cast on the way in.
 * Throws TypeError where two different inputs, or an input and an output, share a name, or a symbol is no input's
 * dimension.
 */
export function encodeModel(outputs: Outputs, bind: (name: string) => Binding = () => 'input'): EncodedModel {
  const encoder = new Encoder(bind);
  return encoder.encode(outputs);
}

class Encoder {
  readonly #bind: (name: string) => Binding;
  readonly #nodes: NodeProto[] = [];
  readonly #initializers: TensorProto[] = [];
  readonly #types: ValueInfoProto[] = [];
  readonly #inputs = new Map<string, Tensor>();
  readonly #names = new Map<Tensor, string>();
  readonly #constants = new Map<string, string>();
  readonly #sites = new Map<string, Site>();
  readonly #used = new Set<string>();

  constructor(bind: (name: string) => Binding) {
    this.#bind = bind;
  }

  encode(outputs: Outputs): EncodedModel {
    for (const name of Object.keys(outputs)) this.#used.add(name);
    const nodes = nodesOf(Object.values(outputs));
    this.#declareInputs([...nodes.flatMap(({ encoded }) => encoded.operands), ...Object.values(outputs)]);
    for (const node of nodes) this.#writeNode(node);
    const results: ValueInfoProto[] = [];
    for (const [name, tensor] of Object.entries(outputs)) {
      this.#emit({ opType: 'Identity', inputs: [this.#nameOf(tensor)], outputs: [name] });
      results.push(valueInfo(name, tensor));
    }
    const inputs = [...this.#inputs].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
    const model = create(ModelProtoSchema, {
      irVersion: opset.irVersion,
      producerName: 'blip2',
      opsetImport: [
        { domain: '', version: opset.onnx },
        { domain: 'com.microsoft', version: opset.contrib },
      ],
      graph: {
        name: 'graph',
        node: this.#nodes,
        initializer: this.#initializers,
        input: inputs.map((i) => valueInfo(i.name, i)),
        output: results,
        // ONNX Runtime's own inference loses symbolic dimensions, and then it compares every free buffer in vain with
        // every new value: seconds for the 6000 nodes of a language model in int8.
        valueInfo: this.#types,
      },
    });
    return { bytes: toBinary(ModelProtoSchema, model), inputs, sites: this.#sites };
  }

  /** Inputs first: dimensions are read off them, wherever in the graph a symbol is needed. */
  #declareInputs(operands: readonly (Tensor | undefined)[]): void {
    for (const t of new Set(operands)) {
      if (t?.source.kind !== 'input' && t?.source.kind !== 'parameter') continue;
      const { source } = t;
      if (source.kind === 'parameter') {
        const binding = this.#bind(source.name);
        if (binding !== 'input') {
          this.#names.set(t, this.#boundParameter(source.name, t, binding));
          continue;
        }
      }
      const known = this.#inputs.get(source.name);
      if (known && known !== t && show(known) !== show(t)) {
        throw new TypeError(`two inputs are called ${source.name}: ${show(known)} and ${show(t)}`);
      }
      if (this.#used.has(source.name) && !known) {
        throw new TypeError(`an output has the name of the input ${show(t)}; ONNX wants two names`);
      }
      if (!known) this.#inputs.set(source.name, t);
      this.#names.set(t, source.name);
      this.#used.add(source.name);
    }
  }

  #nameOf(t: Tensor): string {
    const name = this.#names.get(t) ?? this.#leaf(t);
    this.#names.set(t, name);
    return name;
  }

  #writeNode(node: Node): void {
    const name = this.#fresh(node.op);
    node.outputs.forEach((output, i) => {
      const outputName = i === 0 ? name : `${name}:${i}`;
      this.#names.set(output, outputName);
      this.#types.push(valueInfo(outputName, output));
    });
    this.#sites.set(name, node.site);
    const { opType, domain, operands, attributes } = node.encoded;
    this.#nodes.push(
      create(NodeProtoSchema, {
        name,
        opType,
        domain,
        input: operands.map((o) => (o ? this.#nameOf(o) : '')),
        output: node.outputs.map((o) => this.#names.get(o)!),
        attribute: Object.entries(attributes).flatMap(([key, v]) => (v === undefined ? [] : [attribute(key, v)])),
      }),
    );
  }

  #leaf(t: Tensor): string {
    if (t.source.kind === 'constant') return this.#constant(t.source.value);
    if (t.source.kind === 'dims') return this.#dimensions(t.source.dims);
    throw new TypeError(`${show(t)} was not declared`);
  }

  #constant(v: Value): string {
    const bytes = new Uint8Array(v.data.buffer, v.data.byteOffset, v.data.byteLength);
    const key = bytes.length <= 64 ? `${v.dtype}[${v.shape}]${bytes.join()}` : undefined;
    const known = key === undefined ? undefined : this.#constants.get(key);
    if (known) return known;
    const name = this.#fresh('constant');
    if (key !== undefined) this.#constants.set(key, name);
    this.#initializers.push(inlineTensor(name, v));
    return name;
  }

  #boundParameter(name: string, t: Tensor, binding: Exclude<Binding, 'input'>): string {
    this.#used.add(name);
    if (!('quantised' in binding)) return this.#data(name, t, binding);
    const factors = [`${name}:int8`, `${name}:scale`] as const;
    const perRow = t.shape.map((d, axis) => (axis === 0 ? d : 1));
    const inputs = [
      this.#data(factors[0], t, binding.quantised),
      this.#data(factors[1], { ...t, shape: perRow }, binding.scale),
    ];
    this.#emit({ opType: 'Mul', inputs, outputs: [name] }); // folded when the session is made
    return name;
  }

  /** Data as the value `name` of t's type. */
  #data(name: string, t: Tensor, data: Data): string {
    if (elements(data.shape) !== elements(t.shape.map(Number))) {
      throw new TypeError(`${show(t)} is bound to a tensor of shape [${data.shape.join(', ')}]`);
    }
    const shape = t.shape.map(Number); // a 0-d or reshaped tensor in the file is the same numbers
    const stored = data.dtype === t.dtype ? name : `${name}:stored`;
    this.#initializers.push(
      'file' in data ? externalTensor(stored, { ...data, shape }) : inlineTensor(stored, { ...data, shape }),
    );
    if (stored === name) return name;
    this.#emit({
      opType: 'Cast',
      inputs: [stored],
      outputs: [name],
      attributes: [attribute('to', dtypes[t.dtype].onnx)],
    });
    return name;
  }

  /** An int64 vector of dimension values. */
  #dimensions(shape: readonly Dim[]): string {
    const parts = shape.map((d) => this.#dimension(d));
    return parts.length === 1 ? parts[0]! : this.#emitNew('Concat', parts, [attribute('axis', 0)]);
  }

  /** One dimension as int64 [1]: its polynomial, evaluated on the dimensions of inputs. */
  #dimension(d: Dim): string {
    const key = `dim ${d}`;
    const known = this.#constants.get(key);
    if (known) return known;
    const literal = (n: number) => this.#constant({ dtype: 'int64', shape: [1], data: BigInt64Array.of(BigInt(n)) });
    let name: string;
    if (typeof d === 'number') name = literal(d);
    else {
      const terms = termsOf(d).map(([coefficient, symbols]) => {
        const factors = symbols.map((s) => this.#symbol(s));
        if (coefficient !== 1 || factors.length === 0) factors.unshift(literal(coefficient));
        return factors.reduce((a, b) => this.#emitNew('Mul', [a, b]));
      });
      name = terms.reduce((a, b) => this.#emitNew('Add', [a, b]));
    }
    this.#constants.set(key, name);
    return name;
  }

  #symbol(symbol: string): string {
    for (const [name, { shape }] of this.#inputs) {
      const axis = shape.indexOf(symbol);
      if (axis >= 0) return this.#emitNew('Shape', [name], [attribute('start', axis), attribute('end', axis + 1)]);
    }
    throw new TypeError(`the dimension ${symbol} is needed, but no input has it as a dimension of its own`);
  }

  #emitNew(opType: string, inputs: string[], attributes: AttributeProto[] = []): string {
    const name = this.#fresh(opType);
    this.#emit({ opType, inputs, outputs: [name], attributes });
    return name;
  }

  #emit(n: { opType: string; inputs: string[]; outputs: string[]; attributes?: AttributeProto[] }): void {
    const { opType, inputs, outputs, attributes = [] } = n;
    this.#nodes.push(
      create(NodeProtoSchema, {
        name: `${opType} -> ${outputs[0]}`,
        opType,
        input: inputs,
        output: outputs,
        attribute: attributes,
      }),
    );
  }

  #counter = 0;
  #fresh(prefix: string): string {
    for (;;) {
      const name = `${prefix}_${this.#counter++}`;
      if (!this.#used.has(name)) return name;
    }
  }
}

function attribute(name: string, v: Node['encoded']['attributes'][string]): AttributeProto {
  if (typeof v === 'number') return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(v) });
  if (typeof v === 'string') {
    return create(AttributeProtoSchema, { name, type: AttributeType.STRING, s: new TextEncoder().encode(v) });
  }
  if ('float' in v) return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: v.float });
  return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: v.map(BigInt) });
}

function valueInfo(name: string, { dtype, shape }: TensorType): ValueInfoProto {
  const dim = shape.map((d) => ({
    value:
      typeof d === 'number' ? { case: 'dimValue' as const, value: BigInt(d) } : { case: 'dimParam' as const, value: d },
  }));
  return create(ValueInfoProtoSchema, {
    name,
    type: { value: { case: 'tensorType', value: { elemType: dtypes[dtype].onnx, shape: { dim } } } },
  });
}

const inlineTensor = (name: string, v: Value): TensorProto =>
  create(TensorProtoSchema, {
    name,
    dims: v.shape.map(BigInt),
    dataType: dtypes[v.dtype].onnx,
    rawData: new Uint8Array(v.data.buffer, v.data.byteOffset, v.data.byteLength),
  });

/** A tensor that stays in its file. Locations are relative to the root of the file system: see runtime/session. */
const externalTensor = (name: string, { dtype, shape, file, offset, byteLength }: StoredTensor): TensorProto =>
  create(TensorProtoSchema, {
    name,
    dims: shape.map(BigInt),
    dataType: dtypes[dtype].onnx,
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: Object.entries({ location: file.replace(/^\//, ''), offset, length: byteLength }).map(([key, v]) => ({
      key,
      value: `${v}`,
    })),
  });
