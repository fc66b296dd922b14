import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { floats, random, toFloat32 } from '../core/index.ts';
import { input } from '../graph/index.ts';
import { adamW, adamWDefaults } from '../optim/index.ts';
import { compile } from '../runtime/index.ts';
import { type AdamWKernel, type AdamWSlot, allocateSlots, plainKernel } from './adamw-kernel.ts';
import { Optimiser } from './optimiser.ts';

/** The update rule as a graph that ONNX Runtime runs: the independent computation. */
function graphOf(weightDecay: number) {
  const vector = (name: string) => input(name, 'float32', ['n']);
  const scalar = (name: string) => input(name, 'float32', []);
  const state = {
    parameter: vector('p'),
    gradient: vector('g'),
    m: vector('m0'),
    v: vector('v0'),
    lr: scalar('lr'),
    correction1: scalar('correction1'),
    correction2: scalar('correction2'),
  };
  return compile<'parameter' | 'm' | 'v'>({ ...adamW(state, { ...adamWDefaults, weightDecay }) });
}
const graphs = { 0: await graphOf(0), 0.05: await graphOf(0.05) };

interface State {
  p: Float32Array;
  m: Float32Array;
  v: Float32Array;
}
async function byGraph(
  { p, m, v }: State,
  g: Float32Array,
  { lr, step, weightDecay }: { lr: number; step: number; weightDecay: keyof typeof graphs },
): Promise<State> {
  const vector = (x: Float32Array) => floats([x.length], x);
  const next = await graphs[weightDecay].run({
    p: vector(p),
    g: vector(g),
    m0: vector(m),
    v0: vector(v),
    lr: floats([], [lr]),
    correction1: floats([], [1 - adamWDefaults.beta1 ** step]),
    correction2: floats([], [1 - adamWDefaults.beta2 ** step]),
  });
  return { p: toFloat32(next.parameter), m: toFloat32(next.m), v: toFloat32(next.v) };
}

/** Equal but for the rounding of a few float32 operations on numbers as large as `scale`. */
function expectRounding(actual: Float32Array, expected: Float32Array, scale: (i: number) => number): void {
  expect(actual.length).toBe(expected.length);
  const worst = expected.reduce((max, x, i) => Math.max(max, Math.abs(x - actual[i]!) / scale(i)), 0);
  expect(worst).toBeLessThan(8 * 2 ** -24);
}

const draw = (n: number, seed: number, scale = 1) => {
  const draws = random(seed, n);
  return Float32Array.from({ length: n }, () => scale * draws.normal());
};

const plainSlots: typeof allocateSlots = (lengths, options) =>
  allocateSlots(lengths, options).map((slot) => ({ ...slot, kernel: plainKernel }));

describe.each<[string, typeof allocateSlots]>([
  ['WebAssembly', allocateSlots],
  ['JavaScript', plainSlots],
])('the kernel in %s', (_, allocate) => {
  it('updates as the graph does', async () => {
    const settings = fc.record({
      n: fc.integer({ min: 1, max: 70 }),
      seed: fc.nat(),
      weightDecay: fc.constantFrom(0 as const, 0.05 as const),
      clip: fc.constantFrom(1, 0.3),
      scale: fc.constantFrom(1, 1e-3, 1e-7),
    });
    await fc.assert(
      fc.asyncProperty(settings, async ({ n, seed, weightDecay, clip, scale }) => {
        const [slot] = allocate([n]) as [AdamWSlot];
        slot.parameter.set(draw(n, seed));
        let expected: State = { p: slot.parameter.slice(), m: new Float32Array(n), v: new Float32Array(n) };
        for (let step = 1; step <= 3; step++) {
          const lr = 0.01 * step;
          slot.gradient.set(draw(n, seed + step, scale));
          const clipped = slot.gradient.map((g) => g * Math.fround(clip));
          expected = await byGraph(expected, clipped, { lr, step, weightDecay });
          slot.kernel.update(slot, factorsOf({ lr, step, weightDecay, clip }));
          const largest = scale * 6; // no draw is farther out
          expectRounding(slot.m, expected.m, () => largest);
          expectRounding(slot.v, expected.v, () => largest ** 2);
          expectRounding(slot.parameter, expected.p, (i) => 1 + Math.abs(expected.p[i]!));
        }
      }),
      { numRuns: 60 },
    );
  });

  it('writes to its own slot alone', () => {
    const slots = allocate([3, 5, 6], { averaged: true });
    const all = (s: AdamWSlot) => [s.parameter, s.gradient, s.m, s.v, s.average!];
    slots.flatMap(all).forEach((x, i) => {
      x.fill(i + 1);
    });
    const [, { kernel, ...own }] = slots as [AdamWSlot, AdamWSlot];
    kernel.update(own, factorsOf({ lr: 1, step: 1, weightDecay: 0, clip: 1 }));
    kernel.follow(own.average!, own.parameter, 0.5);
    expect(all(slots[0]!).map((x) => [...x])).toEqual([1, 2, 3, 4, 5].map((x) => Array(3).fill(x)));
    expect(all(slots[2]!).map((x) => [...x])).toEqual([11, 12, 13, 14, 15].map((x) => Array(6).fill(x)));
  });

  it('moves an average towards a parameter, and keeps it where they are equal', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 70 }),
        fc.nat(),
        fc.double({ min: 1e-6, max: 1, noNaN: true }),
        (n, seed, rate) => {
          const [{ average, parameter, kernel }] = allocate([n], { averaged: true }) as [AdamWSlot];
          const before = draw(n, seed);
          parameter.set(draw(n, seed + 1));
          average!.set(before);
          kernel.follow(average!, parameter, rate);
          const expected = before.map((x, i) => (1 - rate) * x + rate * parameter[i]!);
          expectRounding(average!, expected, (i) => Math.abs(before[i]!) + Math.abs(parameter[i]!));
          average!.set(parameter);
          kernel.follow(average!, parameter, rate);
          expect(average).toEqual(parameter);
        },
      ),
    );
  });

  it('sums squares', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), fc.nat(), (n, seed) => {
        const [, slot] = allocate([7, n]) as [AdamWSlot, AdamWSlot];
        slot.gradient.set(draw(n, seed));
        slot.m.fill(9); // the neighbour in memory
        const expected = slot.gradient.reduce((sum, x) => sum + x * x, 0);
        expect(Math.abs(slot.kernel.sumOfSquares(slot.gradient) / expected - 1)).toBeLessThan(1e-13);
      }),
    );
  });
});

function factorsOf(o: {
  lr: number;
  step: number;
  weightDecay: number;
  clip: number;
}): Parameters<AdamWKernel['update']>[1] {
  const { beta1, beta2, epsilon } = adamWDefaults;
  return {
    beta1,
    beta2,
    epsilon,
    clip: o.clip,
    keep: 1 - o.lr * o.weightDecay,
    rate: o.lr / (1 - beta1 ** o.step),
    inverseRoot: 1 / Math.sqrt(1 - beta2 ** o.step),
  };
}

it('slots are in memories of WebAssembly here', () => {
  expect(allocateSlots([1, 2]).some(({ kernel }) => kernel === plainKernel)).toBe(false);
});

it('an optimiser clips by the norm of all gradients, and decays matrices only', async () => {
  const initial = { 'dense.weight': floats([3, 5], draw(15, 1)), 'dense.bias': floats([5], draw(5, 2)) };
  const gradients = { 'dense.weight': draw(15, 3), 'dense.bias': draw(5, 4) };
  const norm = Math.hypot(...gradients['dense.weight'], ...gradients['dense.bias']);
  const optimiser = new Optimiser(new Map(Object.entries(initial)), { clipNorm: norm / 2 });
  const buffers = optimiser.gradientsOf(Object.keys(gradients));
  for (const [name, g] of Object.entries(gradients)) buffers[name]!.data.set(g);

  expect(optimiser.step(0.01)).toBeCloseTo(norm, 5);
  for (const [name, weightDecay] of [
    ['dense.weight', 0.05],
    ['dense.bias', 0],
  ] as const) {
    const p = initial[name].data;
    const zero = new Float32Array(p.length);
    const half = gradients[name].map((g) => g / 2);
    const expected = await byGraph({ p, m: zero, v: zero }, half, { lr: 0.01, step: 1, weightDecay });
    expectRounding(optimiser.parameters[name]!.data, expected.p, () => 4);
    expectRounding(optimiser.state[`m.${name}`]!.data, expected.m, () => 32);
  }
});

it('an optimiser averages what its parameters have been, the first values soon forgotten', () => {
  const optimiser = new Optimiser(new Map([['w', floats([1], [1])]]), { ema: 0.4, weightDecay: 0 });
  const w = () => optimiser.parameters.w!.data[0]!;
  const seen = [w()];
  for (let step = 1; step <= 5; step++) {
    optimiser.gradientsOf(['w']).w!.data[0] = step % 2 ? -1 : 3;
    optimiser.step(0.1 * step);
    seen.push(w());
  }
  const decays = [2 / 11, 3 / 12, 4 / 13, 5 / 14, 0.4]; // (1 + t) / (10 + t), at most 0.4
  const shares = [1, ...decays.map((d) => 1 - d)].map((share, i) => decays.slice(i).reduce((a, b) => a * b, share));
  const expected = seen.reduce((sum, x, i) => sum + x * shares[i]!, 0);
  expect(optimiser.averages.w!.data[0]).toBeCloseTo(expected, 6);
  expect(Math.abs(w() - expected)).toBeGreaterThan(0.05);
});

it('an optimiser gives parameters with a share of what they were, and goes on from what they are', () => {
  const given = () => new Map([['w', floats([2], [1, 2])]]);
  const [whole, half] = [new Optimiser(given()), new Optimiser(given(), { startShare: 0.25 })];
  for (const optimiser of [whole, half]) {
    for (let step = 0; step < 3; step++) {
      optimiser.gradientsOf(['w']).w!.data.set([1, -2]);
      optimiser.step(0.1);
    }
  }
  expect(half.parameters).toEqual(whole.parameters);
  const [a, b] = whole.parameters.w!.data;
  expect([...half.averages.w!.data]).toEqual([0.75 * a! + 0.25, 0.75 * b! + 0.5].map((x) => expect.closeTo(x, 6)));
});

it('an optimiser without an average gives its parameters', () => {
  const { parameters, averages, state } = new Optimiser(new Map([['w', floats([2], [1, 2])]]));
  expect(averages.w!.data).toBe(parameters.w!.data);
  expect(Object.keys(state)).toEqual(['w', 'm.w', 'v.w']);
});
