import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { floats, toNumbers } from '../../src/core/index.ts';
import { differentiate, input, numbers, reduceMax, reduceSum, type Tensor } from '../../src/graph/index.ts';
import {
  type ActivationName,
  activations,
  attendHeads,
  crossEntropy,
  DropoutPool,
  dotProductAttention,
  ignoreIndex,
  layerNorm,
  Params,
  rmsNorm,
} from '../../src/nn/index.ts';
import { compile } from '../../src/runtime/index.ts';
import * as a from './arrays.ts';
import { type Case, check, float32, float64, type Precision } from './check.ts';
import { Draw } from './draw.ts';

const holds = (draw: (d: Draw) => Case, precision: Precision = float64) =>
  fc.assert(
    fc.asyncProperty(fc.gen(), (g) => check(draw(new Draw(g)), precision)),
    { numRuns: 10 },
  );

/** Parameters that are the given tensors. */
const params = (declared: Record<string, Tensor>): Params =>
  new Params({ declared: new Map(Object.entries(declared)) });

describe('activations', () => {
  const normalCdf = (x: number) => (1 + a.erf(x * Math.SQRT1_2)) / 2;
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
  const byTanh = (x: number) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
  const formulas: Record<ActivationName, (x: number) => number> = {
    relu: (x) => Math.max(x, 0),
    gelu: (x) => x * normalCdf(x),
    gelu_new: byTanh,
    gelu_pytorch_tanh: byTanh,
    quick_gelu: (x) => x * sigmoid(1.702 * x),
    silu: (x) => x * sigmoid(x),
  };
  it.each(Object.entries(formulas))('%s', async (name, f) => {
    const op = activations[name as ActivationName];
    await holds(
      (d) => ({ operands: [d.reals(d.shape(), [-3, 3])], op, reference: (x) => a.map(f, x) }),
      name === 'gelu' ? float32 : float64,
    );
  });
});

describe('normalisation', () => {
  const epsilon = 0.125;
  it('rmsNorm divides by the root of the mean square', async () => {
    await holds((d) => {
      const width = d.int(1, 4);
      const normalised = (xs: readonly number[]) =>
        xs.map((x) => x / Math.sqrt(a.mean(xs.map((v) => v * v)) + epsilon));
      return {
        operands: [d.reals([...d.shape(1, 2), width]), d.reals([width])],
        op: (x, weight) => rmsNorm(params({ weight }), x, epsilon),
        reference: (x, weight) => a.map((p, w) => p * w, a.along(x, x.shape.length - 1, normalised), weight),
        symbols: 'batch',
      };
    });
  });
  it('layerNorm does not see a shift of its input', async () => {
    await holds((d) => {
      const width = d.int(2, 4);
      const deviation = (xs: readonly number[]) => Math.sqrt(a.mean(xs.map((v) => (v - a.mean(xs)) ** 2)) + epsilon);
      const normalised = (xs: readonly number[]) => xs.map((x) => (x - a.mean(xs)) / deviation(xs));
      return {
        operands: [d.reals([...d.shape(1, 2), width], [5, 9]), d.reals([width]), d.reals([width])],
        op: (x, weight, bias) => layerNorm(params({ weight, bias }), x, epsilon),
        reference: (x, weight, bias) =>
          a.map((p, w, b) => p * w + b, a.along(x, x.shape.length - 1, normalised), weight, bias),
        symbols: 'batch',
      };
    });
  });
});

describe('attention', () => {
  const precision = { ...float64, value: 1e-7 }; // the scale becomes an ONNX attribute, which is a float32

  /** softmax(scale · q kᵀ + mask) v, one query at a time. */
  function attended(q: a.NdArray, k: a.NdArray, v: a.NdArray, { scale, mask }: { scale: number; mask: a.NdArray }) {
    const [length, width] = [k.shape.at(-2)!, k.shape.at(-1)!];
    return a.build([...q.shape.slice(0, -1), v.shape.at(-1)!], (index) => {
      const [head, n, column] = [index.slice(0, -2), index.at(-2)!, index.at(-1)!];
      const scores = Array.from({ length }, (_, m) => {
        const dot = a.total(
          Array.from({ length: width }, (_, i) => a.get(q, [...head, n, i]) * a.get(k, [...head, m, i])),
        );
        return scale * dot + a.get(mask, [...head, n, m]);
      });
      return a.total(a.softmax(scores).map((weight, m) => weight * a.get(v, [...head, m, column])));
    });
  }

  it('attendHeads, under every mask that broadcasts', async () => {
    await holds((d) => {
      const [batch, heads, n, m, width] = [d.int(1, 3), d.int(1, 2), d.int(1, 3), d.int(1, 4), d.int(1, 4)];
      const scale = d.chance() ? undefined : 0.75;
      return {
        operands: [
          d.reals([batch, heads, n, width]),
          d.reals([batch, heads, m, width]),
          d.reals([batch, heads, m, width]),
          d.reals([batch, heads, n, m].map((size) => (d.chance() ? size : 1))),
        ],
        op: (q, k, v, mask) => attendHeads({ q, k, v, mask, scale }),
        reference: (q, k, v, mask) => attended(q, k, v, { scale: scale ?? 1 / Math.sqrt(width), mask }),
        symbols: 'batch',
      };
    }, precision);
  });
  it('gives a position that the mask hides no weight and no gradient', async () => {
    await holds((d) => {
      const [batch, n, m, width] = [d.int(1, 3), d.int(1, 3), d.int(2, 4), d.int(1, 4)];
      const visible = d.int(1, m - 1);
      const first = (x: a.NdArray) => a.cut(x, 1, [0, visible]);
      const perHead = (x: a.NdArray) => ({ ...x, shape: x.shape.toSpliced(1, 0, 1) });
      const none = { shape: [], data: [0] };
      const hide = Array.from({ length: m }, (_, i) => (i < visible ? 0 : -10_000));
      return {
        operands: [d.reals([batch, n, width]), d.reals([batch, m, width]), d.reals([batch, m, width])],
        op: (q, k, v) => dotProductAttention({ q, k, v, heads: 1, mask: numbers(hide, q.dtype, [1, 1, 1, m]) }),
        reference: (q, k, v) => {
          const [keys, values] = [perHead(first(k)), perHead(first(v))];
          const { data } = attended(perHead(q), keys, values, { scale: 1 / Math.sqrt(width), mask: none });
          return { shape: q.shape, data };
        },
        symbols: 'none',
      };
    }, precision);
  });
});

describe('crossEntropy', () => {
  /** −Σ q log p per row, q being (1 − ε) on the label and ε spread over the classes; the weighted mean over kept rows. */
  function crossEntropyOf(logits: a.NdArray, labels: readonly number[], weights: readonly number[], epsilon: number) {
    const classes = Array.from({ length: logits.shape[1]! }, (_, c) => c);
    const losses = labels.map((label, row) => {
      const p = a.softmax(classes.map((c) => a.get(logits, [row, c])));
      const q = classes.map((c) => (c === label ? 1 - epsilon : 0) + epsilon / classes.length);
      return -a.total(q.map((share, c) => share * Math.log(p[c]!)));
    });
    const counted = weights.map((weight, row) => (labels[row] === ignoreIndex ? 0 : weight));
    return { shape: [], data: [a.total(losses.map((loss, row) => loss * counted[row]!)) / a.total(counted)] };
  }

  const sample =
    (option: { labelSmoothing?: number; weighted?: boolean }) =>
    (d: Draw): Case => {
      const [rows, classes] = [d.int(1, 4), d.int(2, 5)];
      const labels = d.indices([rows], classes).data.map((c, row) => (row > 0 && d.chance() ? ignoreIndex : c));
      // The first row always counts: a mean over nothing is none.
      const weights = labels.map((_, row) => (option.weighted ? d.int(row === 0 ? 1 : 0, 3) : 1));
      return {
        operands: [d.reals([rows, classes]), { dtype: 'int64', shape: [rows], data: labels }],
        op: (logits, target) =>
          crossEntropy(logits, target, {
            ...(option.labelSmoothing === undefined ? {} : { labelSmoothing: option.labelSmoothing }),
            ...(option.weighted ? { weights: numbers(weights, logits.dtype) } : {}),
          }),
        reference: (logits) => crossEntropyOf(logits, labels, weights, option.labelSmoothing ?? 0),
        symbols: option.weighted ? 'none' : 'all',
      };
    };

  it('leaves out ignored labels', () => holds(sample({})));
  it('smooths labels over all classes', () => holds(sample({ labelSmoothing: 0.1 })));
  it('weighs rows', () => holds(sample({ weighted: true })));
});

it('reduceMax shares its gradient equally between ties', async () => {
  const x = input('x', 'float32', [2, 4]);
  const [g] = differentiate(reduceSum(reduceMax(x, { axes: [1], keepDims: false }), { axes: [0], keepDims: false }), [
    x,
  ]);
  const session = await compile({ g: g! });
  const { g: actual } = await session.run({ x: floats([2, 4], [1, 3, 3, 2, 5, 5, 5, 5]) });
  expect(toNumbers(actual)).toEqual([0, 0.5, 0.5, 0, 0.25, 0.25, 0.25, 0.25]);
});

describe('dropout', () => {
  const p = 0.25;
  const size = 4096;

  /** Two sites on ones, and the gradient of their sum. */
  async function dropped(seed: number, step: number) {
    const pool = new DropoutPool(p);
    const x = input('x', 'float32', [size]);
    const [first, second] = [pool.apply(x), pool.apply(x)];
    const [g] = differentiate(reduceSum(first, { axes: [0], keepDims: false }), [x]);
    const session = await compile({ first, second, g: g! });
    const ones = floats([size], new Float32Array(size).fill(1));
    const results = await session.run({ x: ones, ...pool.feeds(seed, step) });
    return { first: toNumbers(results.first), second: toNumbers(results.second), g: toNumbers(results.g) };
  }

  it('keeps 1 − p of the entries, scaled so that the mean stays, and their gradients', async () => {
    const { first, second, g } = await dropped(1, 0);
    expect(new Set(first)).toEqual(new Set([0, Math.fround(1 / (1 - p))]));
    expect(Math.abs(a.mean(first) - 1)).toBeLessThan(5 * Math.sqrt(p / (1 - p) / size));
    expect(g).toEqual(first);
    expect(second).not.toEqual(first);
  });
  it('is a function of the seed and the step', async () => {
    const { first } = await dropped(1, 0);
    expect((await dropped(1, 0)).first).toEqual(first);
    expect((await dropped(2, 0)).first).not.toEqual(first);
    expect((await dropped(1, 1)).first).not.toEqual(first);
  });
  it('is absent at probability 0', () => {
    const x = input('x', 'float32', [size]);
    expect(new DropoutPool(0).apply(x)).toBe(x);
  });
});
