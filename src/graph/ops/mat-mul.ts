import { type Dim, mulDims, ShapeError } from '../../core/index.ts';
import { defineOp, type Op, operator } from '../define-op.ts';
import type { Tensor, TensorType } from '../tensor.ts';
import { broadcast } from './elementwise.ts';
import { reshape } from './movement.ts';

/** Which operands are read transposed (their last two axes), and what the product is multiplied with. */
interface Form {
  transA?: boolean;
  transB?: boolean;
  alpha?: number;
}
type Pair = [a: Tensor, b: Tensor];

function infer([a, b]: Pair, { transA, transB }: Form): TensorType {
  if (a.shape.length < 2 || b.shape.length < 2) throw new ShapeError('both operands need two axes or more');
  if (a.dtype !== b.dtype) throw new ShapeError(`dtypes differ: ${a.dtype} and ${b.dtype}`);
  const [n, k] = lastTwo(a, transA);
  const [l, m] = lastTwo(b, transB);
  if (k !== l) throw new ShapeError(`inner dimensions differ: ${k} and ${l}`);
  return { dtype: a.dtype, shape: [...broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2)), n, m] };
}

function lastTwo({ shape }: Tensor, swapped = false): [Dim, Dim] {
  const [row, column] = [shape.at(-2)!, shape.at(-1)!];
  return swapped ? [column, row] : [row, column];
}

/** y = a b, batched over leading axes. */
export const matMul: Op<Pair> = defineOp('MatMul', {
  infer: (pair) => infer(pair, {}),
  // ā = g bᵀ,  b̄ = aᵀ g
  vjp: (g, { inputs: [a, b] }) => [batchedProduct(g, b, { transB: true }), batchedProduct(a, g, { transA: true })],
});

/** y = α a⁽ᵀ⁾ b⁽ᵀ⁾, batched over leading axes: the transposes cost nothing. A contrib operator of ONNX Runtime. */
export const batchedProduct: Op<Pair, Form> = defineOp('FusedMatMul', {
  domain: 'com.microsoft',
  infer,
  vjp: (g, { inputs: [a, b], attrs }) => productVjp(g, [a, b], attrs, batchedProduct),
  encode: (inputs, { transA, transB, alpha = 1 }) => ({
    operands: inputs,
    attributes: { transA: transA ? 1 : 0, transB: transB ? 1 : 0, alpha: { float: alpha } },
  }),
});

/** y = α a⁽ᵀ⁾ b⁽ᵀ⁾ + c on matrices; c, if given, is a row or a whole matrix. What a linear layer is. */
export const gemm: Op<[a: Tensor, b: Tensor, c: Tensor | undefined], Form> = defineOp('Gemm', {
  infer: ([a, b, c], form) => {
    if (a.shape.length !== 2 || b.shape.length !== 2) throw new ShapeError('both operands must be matrices');
    const type = infer([a, b], form);
    if (c && broadcast(type.shape, c.shape).join() !== type.shape.join()) {
      throw new ShapeError(`the addend [${c.shape.join(', ')}] does not fit [${type.shape.join(', ')}]`);
    }
    return type;
  },
  vjp: (g, { inputs: [a, b, c], attrs }) => [
    ...productVjp(g, [a, b], attrs, (x, y, form) => gemm(x, y, undefined, form ?? {})),
    c ? g : null,
  ],
  encode: (inputs, { transA, transB, alpha = 1 }) => ({
    operands: inputs,
    attributes: { transA: transA ? 1 : 0, transB: transB ? 1 : 0, alpha: { float: alpha } },
  }),
});

/** Both cotangents of α A B, where A and B are a and b or their transposes: Ā = α g Bᵀ, B̄ = α Aᵀ g. */
function productVjp(
  g: Tensor,
  [a, b]: Pair,
  form: Form,
  product: (a: Tensor, b: Tensor, form?: Form) => Tensor,
): Tensor[] {
  const { transA = false, transB = false, alpha = 1 } = form;
  return [
    transA ? product(b, g, { transA: transB, transB: true, alpha }) : product(g, b, { transB: !transB, alpha }),
    transB ? product(g, a, { transA: true, transB: transA, alpha }) : product(a, g, { transA: !transA, alpha }),
  ];
}

/** x Wᵀ + b over the last axis, W [out, in] as checkpoints store it: one Gemm on the rows of x. */
export const linearProduct = operator((x: Tensor, weight: Tensor, bias?: Tensor): Tensor => {
  const [out, width] = weight.shape;
  const lead = x.shape.slice(0, -1);
  if (lead.length === 1) return gemm(x, weight, bias, { transB: true });
  const rows = reshape(x, { shape: [lead.reduce<Dim>(mulDims, 1), width!] });
  return reshape(gemm(rows, weight, bias, { transB: true }), { shape: [...lead, out!] });
});
