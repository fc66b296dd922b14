import * as ort from 'onnxruntime-node';
import { type DType, elements, RuntimeError, type TypedArray, type Value, value } from '../core/index.ts';

ort.env.logLevel = 'fatal'; // errors are thrown; printing them as well would say everything twice

export type Values = Readonly<Record<string, Value>>;

/** Names of outputs, with the values that they are written into, or null. */
export type Fetches = Readonly<Record<string, Value | null>>;

/** A graph that can be run. Errors are ONNX Runtime's own. */
export interface Computation {
  /** The outputs named in `fetches`, or all. */
  run(feeds: Values, fetches?: Fetches): Promise<Record<string, Value>>;
  release(): Promise<void>;
}

/** Compiles a serialised model. Creating it and running it block this thread, their promises notwithstanding. */
export async function createComputation(
  model: Uint8Array,
  options: ort.InferenceSession.SessionOptions,
): Promise<Computation> {
  const session = await ort.InferenceSession.create(model, options);
  return {
    async run(feeds, fetches) {
      const tensors = mapValues(feeds, toOrt);
      const results = fetches
        ? await session.run(
            tensors,
            mapValues<Value | null, ort.Tensor | null>(fetches, (v) => (v ? toOrt(v) : null)),
          )
        : await session.run(tensors);
      return mapValues<ort.OnnxValue, Value>(results, fromOrt);
    },
    release: () => session.release(),
  };
}

const ortTypes = new Set<string>([
  'float32',
  'float64',
  'uint8',
  'int8',
  'int32',
  'int64',
  'bool',
  'float16',
] satisfies DType[]);

function toOrt({ dtype, data, shape }: Value): ort.Tensor {
  if (!ortTypes.has(dtype)) throw new RuntimeError(`run: ${dtype} cannot be fed; convert it to float32`);
  return new ort.Tensor(dtype as ort.Tensor.Type, data as ort.Tensor.DataType, shape);
}

function fromOrt(t: ort.OnnxValue): Value {
  const data = t.data as TypedArray;
  return value(t.type as DType, t.dims, data.length === elements(t.dims) ? data : data.subarray(0, elements(t.dims)));
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, f: (a: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, a]) => [key, f(a)]));
}
