import { realpathSync } from 'node:fs';
import type { InferenceSession } from 'onnxruntime-node';
import { CheckpointError, type Dim, RuntimeError, type StoredTensor, type Value } from '../core/index.ts';
import {
  type Binding,
  type EncodedModel,
  encodeModel,
  type ModelInput,
  type Outputs,
  showType,
} from '../graph/index.ts';
import { type Computation, createComputation, type Values } from './computation.ts';
import { checkDevice, deviceAbsence } from './device.ts';
import type { SessionThread } from './session-thread.ts';

/** Where a model runs, and how. */
export interface SessionOptions {
  /** `cpu` (default), `webgpu`, `cuda`, `coreml` or `dml`: ONNX Runtime's execution providers. */
  readonly device?: string;
  /** Threads inside one operator; ONNX Runtime's own choice by default. */
  readonly threads?: number;
  /**
   * Keep float32 weights mapped from their files instead of repacking them into memory: a session is there at once, and
   * its weights can be dropped and read again. Products of one row, or of hundreds, are as fast; those of a few rows,
   * for which weights are repacked at every run, take half as long again. Others than floats have to be repacked.
   */
  readonly mapped?: boolean;
  /**
   * Keep the memory of a run for the next one, which is faster (default). Without, several sessions that take turns share
   * what the process has, instead of each keeping what its largest run took.
   */
  readonly arena?: boolean;
  /** Spinning threads answer faster, but steal time from anything else that runs; off where sessions share the cores. */
  readonly spinning?: boolean;
  /**
   * Compile and run in this thread: the one that asks is free for others. Runs take copies of their feeds, and write into no
   * value that they are given.
   */
  readonly thread?: SessionThread | undefined;
  /** What is done to every graph before it is compiled: see quantise/. */
  readonly rewrite?: ((outputs: Outputs) => Outputs) | undefined;
}

/** What stands behind the parameters of a graph; undefined is an error, `input` a parameter fed at every run. */
export type Weights = (name: string) => Binding | undefined;

/**
 * Weights from a state dict: each name to its data or to the place in a file where it lies. int8 entries stand for their
 * product with the entry `<name>.scale`, one factor for each row.
 */
export const weightsFrom =
  (state: ReadonlyMap<string, StoredTensor | Value>): Weights =>
  (name) => {
    const stored = state.get(name);
    const scale = stored?.dtype === 'int8' ? state.get(scaleOf(name)) : undefined;
    return stored && scale ? { quantised: stored, scale } : stored;
  };

/** The name of the scales of an int8 weight in a state dict. */
export const scaleOf = (weight: string): string => `${weight}.scale`;
/** The names of all scales of int8 weights in a state dict. */
export const scalesIn = (state: Iterable<readonly [name: string, Pick<StoredTensor, 'dtype'>]>): Set<string> =>
  new Set([...state].flatMap(([name, { dtype }]) => (dtype === 'int8' ? [scaleOf(name)] : [])));
/** The weight that an entry has the scales of, or its own name. */
export const weightOf = (entry: string): string => entry.replace(/\.scale$/, '');

export type Feeds = Values;

/** A compiled graph. `run` blocks the thread while it computes, its promise notwithstanding (ONNX Runtime's way). */
export class Session<O extends string> {
  readonly inputs: readonly ModelInput[];
  readonly #computation: Computation;
  readonly #failure: (error: unknown) => Error;
  readonly #types: ReadonlyMap<string, ModelInput>;

  /** Use {@link compile}. */
  constructor(computation: Computation, inputs: readonly ModelInput[], failure: (error: unknown) => Error) {
    this.inputs = inputs;
    this.#computation = computation;
    this.#failure = failure;
    this.#types = new Map(inputs.map((i) => [i.name, i]));
  }

  /**
   * Computes the outputs, or only those named in `fetches`. A fetch may carry a preallocated value: the result is
   * written there, and the same value may be a feed, which updates it in place.
   * Throws RuntimeError naming the input that is missing or misshapen, or the line that wrote the failing operator.
   */
  async run<F extends O = O>(feeds: Feeds, fetches?: Readonly<Record<F, Value | null>>): Promise<Record<F, Value>> {
    const values: Record<string, Value> = {};
    const symbols: Symbols = new Map();
    for (const type of this.inputs) values[type.name] = checked(type, feeds, symbols);
    try {
      return (await this.#computation.run(values, fetches)) as Record<F, Value>;
    } catch (error) {
      throw this.#failure(error);
    }
  }

  has(name: string): boolean {
    return this.#types.has(name);
  }

  /** Frees the graph and its weights. Device sessions have to be released before the process ends. */
  async release(): Promise<void> {
    await this.#computation.release();
  }
}

/** What each symbolic dimension is in this run, and the input that said so first. */
type Symbols = Map<Dim, { readonly size: number; readonly input: string }>;

/** The input's value, after a look at its type and at what its symbols are elsewhere. */
function checked(type: ModelInput, feeds: Feeds, symbols: Symbols): Value {
  const v = feeds[type.name];
  if (!v) throw new RuntimeError(`run: the input ${type.name}: ${showType(type)} is missing`);
  const fits =
    v.dtype === type.dtype &&
    v.shape.length === type.shape.length &&
    type.shape.every((d, i) => typeof d === 'string' || d === v.shape[i]);
  if (!fits) {
    throw new RuntimeError(`run: the input ${type.name} must be ${showType(type)}, got ${showType(v)}`);
  }
  type.shape.forEach((d, i) => {
    const size = v.shape[i]!;
    const known = symbols.get(d);
    if (typeof d === 'string' && known && known.size !== size) {
      throw new RuntimeError(`run: ${d} is ${known.size} in the input ${known.input}, but ${size} in ${type.name}`);
    }
    symbols.set(d, { size, input: type.name });
  });
  return v;
}

/**
 * Compiles the graph behind `outputs`. Stored weights stay in their files (external data); the rest is in the model.
 * Throws CheckpointError where a parameter has no weights, UsageError where the device is not there, RuntimeError where
 * ONNX Runtime refuses the graph (in another thread, the first run throws these two). What a device has no kernel for is
 * computed on the CPU.
 */
export async function compile<O extends string>(
  outputs: Readonly<Record<O, Outputs[string]>>,
  weights: Weights = () => 'input',
  options: SessionOptions = {},
): Promise<Session<O>> {
  const { device = 'cpu', thread } = options;
  checkDevice(device);
  const { bytes, inputs, sites } = encodeModel(options.rewrite?.(outputs) ?? outputs, (name) =>
    located(name, weights(name)),
  );
  const failure = (error: unknown) => deviceAbsence(device, error) ?? runtimeError(error, sites);
  try {
    const settings = sessionOptions(options);
    const computation = thread ? thread.create(bytes, settings) : await createComputation(bytes, settings);
    return new Session<O>(computation, inputs, failure);
  } catch (error) {
    throw failure(error);
  }
}

/** ONNX Runtime refuses symbolic links (the hub's cache is made of them), so files are named by their real path. */
function located(name: string, binding: Binding | undefined): Binding {
  if (binding === undefined)
    throw new CheckpointError(`the parameter ${name} has no weights: is this the right checkpoint?`);
  if (binding === 'input') return binding;
  if ('quantised' in binding) return { quantised: inPlace(binding.quantised), scale: inPlace(binding.scale) };
  return inPlace(binding);
}

const inPlace = <T extends StoredTensor | Value>(data: T): T =>
  'file' in data ? { ...data, file: realPath(data.file) } : data;

const realPaths = new Map<string, string>();
function realPath(file: string): string {
  const known = realPaths.get(file) ?? realpathSync(file);
  realPaths.set(file, known);
  return known;
}

function sessionOptions({
  device = 'cpu',
  threads,
  mapped = false,
  arena = true,
  spinning = true,
}: SessionOptions): InferenceSession.SessionOptions {
  return {
    executionProviders: [device],
    graphOptimizationLevel: 'all',
    // A plan for all memory at once would lie beside what the arena has kept from the first run: nearly twice the memory.
    enableMemPattern: false,
    enableCpuMemArena: arena,
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
    logSeverityLevel: 4,
    extra: {
      session: {
        disable_prepacking: mapped ? '1' : '0',
        // Several folders can hold weights; every location is relative to the root.
        model_external_initializers_file_folder_path: '/',
        intra_op: { allow_spinning: spinning ? '1' : '0' },
      },
    },
  };
}

/** ONNX Runtime's error; where it names a node of ours, with the line that wrote it, and that line's stack. */
function runtimeError(error: unknown, sites: EncodedModel['sites']): Error {
  if (!(error instanceof Error) || error instanceof CheckpointError || error instanceof RuntimeError)
    return error as Error;
  const node = /[Nn]ame:?\s?'([^']+)'|[Nn]ode \(([^)]+)\)/.exec(error.message)?.slice(1).find(Boolean);
  const stack = node === undefined ? undefined : sites.get(node)?.stack;
  const frames = stack?.split('\n').filter((line) => line.startsWith('    at ')) ?? [];
  const [line] = frames;
  const message = `ONNX Runtime: ${error.message.trim()}${line ? ` (written ${line.trim()})` : ''}`;
  const result = new RuntimeError(message, { cause: error });
  if (line) result.stack = `${result.name}: ${message}\n${frames.join('\n')}`;
  return result;
}
