import { ShapeError } from '../../core/index.ts';
import { defineMultiOp, defineOp, type MultiOp, type Op } from '../define-op.ts';
import type { Tensor, TensorType } from '../tensor.ts';
import { checkAxis } from './axis.ts';
import { add, exp, mul, reciprocal, sqrt, sub } from './elementwise.ts';
import { reduceMean, reduceSum } from './reduce.ts';

function along([x]: [x: Tensor], { axis }: { axis: number }): TensorType {
  checkAxis(x, axis);
  return { dtype: x.dtype, shape: x.shape };
}

/** y = exp(x − max x) / Σ exp(x − max x), taken along `axis`. */
export const softmax: Op<[x: Tensor], { axis: number }> = defineOp('Softmax', {
  infer: along,
  // x̄ = y ⊙ (g − ⟨g, y⟩): the Jacobian is diag(y) − y yᵀ, and the output is all it needs.
  vjp: (g, { output: y, attrs: { axis } }) => [mul(y, sub(g, reduceSum(mul(g, y), { axes: [axis], keepDims: true })))],
});

/** y = x − log Σ exp x, taken along `axis`. */
export const logSoftmax: Op<[x: Tensor], { axis: number }> = defineOp('LogSoftmax', {
  infer: along,
  // x̄ = g − softmax(x) Σ g
  vjp: (g, { output: y, attrs: { axis } }) => [sub(g, mul(exp(y), reduceSum(g, { axes: [axis], keepDims: true })))],
});

/**
 * y = (x − mean) / √(variance + ε) ⊙ scale + bias over the last axis. Its mean and inverse deviation serve the gradient
 * and carry none: differentiating through them throws TypeError.
 */
export const layerNormalization: MultiOp<
  [x: Tensor, scale: Tensor, bias: Tensor],
  { epsilon: number },
  'output' | 'mean' | 'inverseDeviation'
> = defineMultiOp('LayerNormalization', {
  outputs: ['output', 'mean', 'inverseDeviation'],
  infer: ([x, scale, bias]) => {
    const width = x.shape.at(-1);
    if (scale.shape.join() !== `${width}` || bias.shape.join() !== `${width}`) {
      throw new ShapeError(`scale and bias must be [${width}]`);
    }
    // ONNX computes the statistics in float32 whatever the input; the shapes keep the normalised axis as 1.
    const statistic: TensorType = { dtype: 'float32', shape: [...x.shape.slice(0, -1), 1] };
    return { output: { dtype: x.dtype, shape: x.shape }, mean: statistic, inverseDeviation: statistic };
  },
  // With x̂ = (x − mean)/σ and h = g ⊙ scale:  x̄ = (h − mean(h) − x̂ mean(h ⊙ x̂)) / σ,  scalē = Σ g ⊙ x̂,  biasē = Σ g
  vjp: ({ output: g, ...statistic }, { inputs: [x, scale], outputs, attrs: { epsilon } }) => {
    if (!g || statistic.mean || statistic.inverseDeviation) {
      throw new TypeError('layerNormalization: its mean and inverse deviation carry no gradient');
    }
    const last = { axes: [x.shape.length - 1], keepDims: true };
    const { mean, inverseDeviation } = x.dtype === 'float32' ? outputs : statistics(x, epsilon);
    const normalised = mul(sub(x, mean), inverseDeviation);
    const h = mul(g, scale);
    const projected = mul(normalised, reduceMean(mul(h, normalised), last));
    return [mul(sub(sub(h, reduceMean(h, last)), projected), inverseDeviation), mul(g, normalised), g];
  },
  encode: (inputs, { epsilon }) => ({ operands: inputs, attributes: { axis: -1, epsilon: { float: epsilon } } }),
});

/** Mean and 1/σ over the last axis in x's own dtype, for gradients more precise than ONNX's float32 statistics. */
function statistics(x: Tensor, epsilon: number): Record<'mean' | 'inverseDeviation', Tensor> {
  const last = { axes: [x.shape.length - 1], keepDims: true };
  const mean = reduceMean(x, last);
  const centred = sub(x, mean);
  const variance = reduceMean(mul(centred, centred), last);
  return { mean, inverseDeviation: reciprocal(sqrt(add(variance, epsilon))) };
}
