import {
  assemble,
  type Code,
  f32x4,
  f64,
  f64x2,
  i32,
  kernelFunction,
  type Local,
  loopUntil,
  v128,
} from './assemble.ts';

/** The numbers behind one trainable parameter, all of one length. */
export interface AdamWBuffers {
  readonly parameter: Float32Array;
  readonly gradient: Float32Array;
  readonly m: Float32Array;
  readonly v: Float32Array;
  /** A moving average of the parameter, where one is kept. */
  readonly average: Float32Array | undefined;
}

/** What is the same for every number of a parameter in one step. */
export interface AdamWFactors {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** On the gradient. */
  readonly clip: number;
  /** On the parameter: 1 − lr · weight decay. */
  readonly keep: number;
  /** lr / (1 − β₁ᵗ). */
  readonly rate: number;
  /** 1 / √(1 − β₂ᵗ). */
  readonly inverseRoot: number;
}

/** The passes over memory that an update makes. */
export interface AdamWKernel {
  /** Σ x², in float64. */
  sumOfSquares(x: Float32Array): number;
  update(buffers: AdamWBuffers, factors: AdamWFactors): void;
  /** average += rate · (x − average): what is equal stays as it is, bit for bit. */
  follow(average: Float32Array, x: Float32Array, rate: number): void;
}

/** Buffers, and the kernel that can reach them. */
export interface AdamWSlot extends AdamWBuffers {
  readonly kernel: AdamWKernel;
}

/**
 * Zeroed buffers for parameters of so many numbers, in memories of WebAssembly, which ONNX Runtime reads and writes as
 * well (shared ones it does not, so that one thread has to do). Where no such memory can be had, the buffers are
 * ordinary ones and the kernel is JavaScript.
 */
export function allocateSlots(lengths: readonly number[], { averaged = false } = {}): AdamWSlot[] {
  return groupByMemory(lengths, averaged).flatMap(
    (group) => simdSlots(group, averaged) ?? group.map((length) => plainSlot(length, averaged)),
  );
}

/** The buffers of a slot, each from `take`. */
const buffersFrom = (take: () => Float32Array, averaged: boolean): AdamWBuffers => ({
  parameter: take(),
  gradient: take(),
  m: take(),
  v: take(),
  average: averaged ? take() : undefined,
});

const vectorBytes = 16;
const pageBytes = 65_536;
const memoryBytes = 65_536 * pageBytes;

/** Bytes of one buffer: whole vectors, so that no kernel has a remainder to treat. */
const paddedBytes = (length: number): number => Math.ceil((length * 4) / vectorBytes) * vectorBytes;
const slotBytes = (length: number, averaged: boolean): number => (averaged ? 5 : 4) * paddedBytes(length);

/** The lengths in order, cut into runs that fit a memory (4 GiB) each. */
function groupByMemory(lengths: readonly number[], averaged: boolean): number[][] {
  const groups: number[][] = [];
  let free = 0;
  for (const length of lengths) {
    const bytes = slotBytes(length, averaged);
    if (bytes > free) {
      groups.push([]);
      free = memoryBytes;
    }
    groups.at(-1)!.push(length);
    free -= bytes;
  }
  return groups;
}

/** Slots in one new memory; undefined where the engine gives none of that size. */
function simdSlots(lengths: readonly number[], averaged: boolean): AdamWSlot[] | undefined {
  const bytes = lengths.reduce((sum, length) => sum + slotBytes(length, averaged), 0);
  const memory = newMemory(Math.ceil(bytes / pageBytes));
  if (!memory) return undefined;
  const kernel = simdKernel(memory);
  let next = 0;
  const take = (length: number): Float32Array => {
    const buffer = new Float32Array(memory.buffer, next, length);
    next += paddedBytes(length);
    return buffer;
  };
  return lengths.map((length) => ({ ...buffersFrom(() => take(length), averaged), kernel }));
}

function newMemory(pages: number): WebAssembly.Memory | undefined {
  try {
    return new WebAssembly.Memory({ initial: pages });
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) return undefined; // no room, or over 4 GiB
    throw error;
  }
}

function plainSlot(length: number, averaged: boolean): AdamWSlot {
  return { ...buffersFrom(() => new Float32Array(length), averaged), kernel: plainKernel };
}

/** The kernel in JavaScript, on any buffers. */
export const plainKernel: AdamWKernel = {
  sumOfSquares(x) {
    let sum = 0;
    for (let i = 0; i < x.length; i++) sum += x[i]! * x[i]!;
    return sum;
  },
  update({ parameter: p, gradient, m, v }, { beta1, beta2, epsilon, clip, keep, rate, inverseRoot }) {
    for (let i = 0; i < p.length; i++) {
      const g = gradient[i]! * clip;
      const mi = beta1 * m[i]! + (1 - beta1) * g;
      const vi = beta2 * v[i]! + (1 - beta2) * g * g;
      m[i] = mi;
      v[i] = vi;
      p[i] = p[i]! * keep - (rate * mi) / (Math.sqrt(vi) * inverseRoot + epsilon);
    }
  },
  follow(average, x, rate) {
    for (let i = 0; i < x.length; i++) average[i]! += rate * (x[i]! - average[i]!);
  },
};

const sumOfSquares = kernelFunction(
  'sumOfSquares',
  { parameters: { at: 'i32', end: 'i32' }, result: 'f64' },
  ({ at, end }, variable) => {
    const [x, low, high] = [variable('v128'), variable('v128'), variable('v128')];
    const [sumLow, sumHigh] = [variable('v128'), variable('v128')]; // two, so that no addition waits for the one before
    const sum = f64x2.add(sumLow.value, sumHigh.value);
    return [
      loopUntil(i32.equal(at.value, end.value), [
        x.set(v128.load(at.value)),
        low.set(f64x2.promoteLow(x.value)),
        high.set(f64x2.promoteHigh(x.value)),
        sumLow.set(f64x2.add(sumLow.value, f64x2.mul(low.value, low.value))),
        sumHigh.set(f64x2.add(sumHigh.value, f64x2.mul(high.value, high.value))),
        advance(at),
      ]),
      f64.add(f64x2.lane(sum, 0), f64x2.lane(sum, 1)),
    ];
  },
);

const addresses = { parameter: 'i32', gradient: 'i32', m: 'i32', v: 'i32', end: 'i32' } as const;
const scalars = {
  beta1: 'f32',
  rest1: 'f32',
  beta2: 'f32',
  rest2: 'f32',
  epsilon: 'f32',
  clip: 'f32',
  keep: 'f32',
  rate: 'f32',
  inverseRoot: 'f32',
} as const;

/** optim/adamw.ts in its order of operations, four numbers at a time. */
const update = kernelFunction('update', { parameters: { ...addresses, ...scalars } }, (p, variable) => {
  const { add, sub, mul, div, sqrt, splat } = f32x4;
  const prepare: Code[] = [];
  const broadcast = (scalar: Local): Code => {
    const vector = variable('v128');
    prepare.push(vector.set(splat(scalar.value)));
    return vector.value;
  };
  const mix = (old: Local, beta: Code, term: Code, rest: Code) => add(mul(v128.load(old.value), beta), mul(term, rest));
  const [beta1, rest1, beta2, rest2] = [broadcast(p.beta1), broadcast(p.rest1), broadcast(p.beta2), broadcast(p.rest2)];
  const [epsilon, inverseRoot, clip] = [broadcast(p.epsilon), broadcast(p.inverseRoot), broadcast(p.clip)];
  const [keep, rate] = [broadcast(p.keep), broadcast(p.rate)];

  const [g, m, v] = [variable('v128'), variable('v128'), variable('v128')];
  const step = mul(rate, div(m.value, add(mul(sqrt(v.value), inverseRoot), epsilon)));
  const body = [
    g.set(mul(v128.load(p.gradient.value), clip)),
    m.set(mix(p.m, beta1, g.value, rest1)),
    v.set(mix(p.v, beta2, mul(g.value, g.value), rest2)),
    v128.store(p.m.value, m.value),
    v128.store(p.v.value, v.value),
    v128.store(p.parameter.value, sub(mul(v128.load(p.parameter.value), keep), step)),
    [p.parameter, p.gradient, p.m, p.v].map(advance),
  ];
  return [prepare, loopUntil(i32.equal(p.parameter.value, p.end.value), body)];
});

const follow = kernelFunction(
  'follow',
  { parameters: { average: 'i32', x: 'i32', end: 'i32', rate: 'f32' } },
  (p, variable) => {
    const { add, sub, mul, splat } = f32x4;
    const [average, rate] = [variable('v128'), variable('v128')];
    const step = mul(rate.value, sub(v128.load(p.x.value), average.value));
    const body = [
      average.set(v128.load(p.average.value)),
      v128.store(p.average.value, add(average.value, step)),
      [p.average, p.x].map(advance),
    ];
    return [rate.set(splat(p.rate.value)), loopUntil(i32.equal(p.x.value, p.end.value), body)];
  },
);

function advance(address: Local): Code {
  return address.set(i32.add(address.value, i32.small(vectorBytes)));
}

let kernelModule: WebAssembly.Module | undefined;

/** The kernel in WebAssembly, on buffers that lie in `memory`. */
function simdKernel(memory: WebAssembly.Memory): AdamWKernel {
  kernelModule ??= new WebAssembly.Module(assemble([sumOfSquares, update, follow]));
  const { exports } = new WebAssembly.Instance(kernelModule, { env: { memory } });
  const endOf = (x: Float32Array) => x.byteOffset + paddedBytes(x.length);
  return {
    sumOfSquares: (x) => exports.sumOfSquares!(x.byteOffset, endOf(x)),
    update: ({ parameter, gradient, m, v }, { beta1, beta2, epsilon, clip, keep, rate, inverseRoot }) => {
      const at = [parameter, gradient, m, v].map((x) => x.byteOffset);
      const factors = [beta1, 1 - beta1, beta2, 1 - beta2, epsilon, clip, keep, rate, inverseRoot];
      exports.update!(...at, endOf(parameter), ...factors);
    },
    follow: (average, x, rate) => exports.follow!(average.byteOffset, x.byteOffset, endOf(x), rate),
  };
}
