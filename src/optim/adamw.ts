import { add, div, mul, sqrt, sub, type Tensor } from '../graph/index.ts';

/** AdamW (Loshchilov and Hutter 2019) as PyTorch computes it; the paper's values. */
export const adamWDefaults = { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0.05 } as const;

export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
}

/** Whether weight decay applies: not to biases, nor to norms and other vectors (LAVIS's groups; a 0-d tensor decays). */
export const decays = (name: string, shape: readonly number[]): boolean => shape.length !== 1 && !name.endsWith('bias');

/** One parameter's state, and the step's scalars: `lr`, and the bias corrections 1 − β₁ᵗ and 1 − β₂ᵗ. */
export interface AdamWState {
  readonly parameter: Tensor;
  readonly gradient: Tensor;
  readonly m: Tensor;
  readonly v: Tensor;
  readonly lr: Tensor;
  readonly correction1: Tensor;
  readonly correction2: Tensor;
}

/** The update rule as a graph, for devices that hold the state: the next parameter and moments. */
export function adamW(s: AdamWState, o: AdamWOptions): Pick<AdamWState, 'parameter' | 'm' | 'v'> {
  const m = add(mul(s.m, o.beta1), mul(s.gradient, 1 - o.beta1));
  const v = add(mul(s.v, o.beta2), mul(mul(s.gradient, s.gradient), 1 - o.beta2));
  const decayed = mul(s.parameter, sub(1, mul(s.lr, o.weightDecay)));
  const denominator = add(div(sqrt(v), sqrt(s.correction2)), o.epsilon);
  return { parameter: sub(decayed, mul(div(s.lr, s.correction1), div(m, denominator))), m, v };
}
