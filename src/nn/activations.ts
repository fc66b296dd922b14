import { add, fusedGelu, mul, relu, sigmoid, type Tensor, tanh } from '../graph/index.ts';

/** Activations by the names that Hugging Face configurations give them. */
export const activations = {
  relu,
  /** x Φ(x), exact. */
  gelu: fusedGelu,
  /** The tanh approximation of GELU, under both of its names. */
  gelu_new: approximateGelu,
  gelu_pytorch_tanh: approximateGelu,
  /** x σ(1.702 x), which OpenAI's CLIP was trained with. */
  quick_gelu: (x) => mul(x, sigmoid(mul(x, 1.702))),
  silu: (x) => mul(x, sigmoid(x)),
} satisfies Record<string, (x: Tensor) => Tensor>;

export type ActivationName = keyof typeof activations;

function approximateGelu(x: Tensor): Tensor {
  const inner = mul(add(x, mul(mul(mul(x, x), x), 0.044715)), Math.sqrt(2 / Math.PI));
  return mul(mul(x, 0.5), add(tanh(inner), 1));
}
