import { expect, it } from 'vitest';
import {
  add,
  differentiate,
  input,
  layerNormalization,
  linearProduct,
  parameter,
  printGraph,
  reduceSum,
  sigmoid,
} from './index.ts';

it('prints a graph, one line a node', () => {
  const x = input('x', 'float32', ['batch', 2, 3]);
  const weight = parameter('weight', 'float32', [4, 3]);
  const bias = parameter('bias', 'float32', [4]);
  const y = add(layerNormalization(linearProduct(x, weight), bias, bias, { epsilon: 0.5 }).output, 1);
  expect(`\n${printGraph({ y, x })}\n`).toBe(`
x: float32[batch, 2, 3]
weight: float32[4, 3]
bias: float32[4]
%0: float32[2*batch, 3] = Reshape(x, [-1, 3])
%1: float32[2*batch, 4] = Gemm(%0, weight, none, transA: 0, transB: 1, alpha: 1)
%2: float32[batch, 2, 4] = Reshape(%1, [-1, 2, 4])
%3: float32[batch, 2, 4], %4: float32[batch, 2, 1], %5: float32[batch, 2, 1] = LayerNormalization(%2, bias, bias, axis: -1, epsilon: 0.5)
%6: float32[batch, 2, 4] = Add(%3, 1)
y = %6
x = x
`);
});

it('prints a gradient as the graph it is', () => {
  const x = input('x', 'float32', [2]);
  const [g] = differentiate(reduceSum(sigmoid(x), { axes: [0], keepDims: false }), [x]);
  expect(`\n${printGraph({ g: g! })}\n`).toBe(`
x: float32[2]
%0: float32[1] = Reshape(1, [1])
%1: float32[2] = Expand(%0, [2])
%2: float32[2] = Sigmoid(x)
%3: float32[2] = Sub(1, %2)
%4: float32[2] = Mul(%2, %3)
%5: float32[2] = Mul(%1, %4)
g = %5
`);
});
