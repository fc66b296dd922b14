import { type Dim, type DType, dtypes, isFloat, type Shape, ShapeError } from '../../core/index.ts';
import { defineOp, type Op, operator } from '../define-op.ts';
import { numbers, type Tensor, type TensorType } from '../tensor.ts';

/** An operand of an elementwise operator; a number becomes a constant of the other operand's dtype. */
export type Operand = Tensor | number;

/** NumPy's rule for two shapes; symbols are equal to themselves only. */
export function broadcast(a: Shape, b: Shape): Dim[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) throw new ShapeError(`cannot broadcast axis ${i}: ${x} and ${y}`);
    return x === 1 ? y : x;
  });
}

type One = [x: Tensor];
type Pair = [a: Tensor, b: Tensor];
type BinaryOp = (a: Operand, b: Operand) => Tensor;

const same = ([x]: One): TensorType => ({ dtype: x.dtype, shape: x.shape });

function both([a, b]: Pair): TensorType {
  if (a.dtype !== b.dtype) throw new ShapeError(`dtypes differ: ${a.dtype} and ${b.dtype}; cast one of them`);
  return { dtype: a.dtype, shape: broadcast(a.shape, b.shape) };
}
const compared = (pair: Pair): TensorType => ({ dtype: 'bool', shape: both(pair).shape });

/** Lets either operand of a binary operator be a plain number. */
function lifting(op: Op<Pair>): BinaryOp {
  return operator((a: Operand, b: Operand) => {
    if (typeof a !== 'number') return op(a, typeof b === 'number' ? numbers(b, a.dtype) : b);
    if (typeof b !== 'number') return op(numbers(a, b.dtype), b);
    throw new TypeError('one operand must be a tensor');
  });
}
const binary = (name: string, vjp: Parameters<typeof defineOp<Pair>>[1]['vjp']): BinaryOp =>
  lifting(defineOp<Pair>(name, { infer: both, vjp }));
const unary = (name: string, vjp: Parameters<typeof defineOp<One>>[1]['vjp'], domain?: string): Op<One> =>
  defineOp<One>(name, { ...(domain === undefined ? {} : { domain }), infer: same, vjp });
const comparison = (name: string): BinaryOp =>
  lifting(defineOp<Pair>(name, { infer: compared, vjp: () => [null, null] }));

// Cotangents keep the output's shape here; differentiate() sums them back over broadcast axes.
export const add: BinaryOp = binary('Add', (g) => [g, g]);
export const sub: BinaryOp = binary('Sub', (g) => [g, neg(g)]);
export const mul: BinaryOp = binary('Mul', (g, { inputs: [a, b] }) => [mul(g, b), mul(g, a)]);
export const div: BinaryOp = binary('Div', (g, { inputs: [, b], output: y }) => [div(g, b), neg(div(mul(g, y), b))]);
/** The larger of the two; where they are equal, the gradient is the first one's. */
export const max: BinaryOp = binary('Max', (g, { inputs: [a, b] }) => {
  const first = greaterOrEqual(a, b);
  return [where(first, g, 0), where(first, 0, g)];
});

export const neg: Op<One> = unary('Neg', (g) => [neg(g)]);
/** |x|; at 0 the gradient is 0. */
export const abs: Op<One> = unary('Abs', (g, { inputs: [x] }) => [
  where(greater(x, 0), g, where(less(x, 0), neg(g), 0)),
]);
export const exp: Op<One> = unary('Exp', (g, { output: y }) => [mul(g, y)]);
export const log: Op<One> = unary('Log', (g, { inputs: [x] }) => [div(g, x)]);
export const cos: Op<One> = unary('Cos', (g, { inputs: [x] }) => [neg(mul(g, sin(x)))]);
export const sin: Op<One> = unary('Sin', (g, { inputs: [x] }) => [mul(g, cos(x))]);
export const sqrt: Op<One> = unary('Sqrt', (g, { output: y }) => [div(mul(g, 0.5), y)]);
export const reciprocal: Op<One> = unary('Reciprocal', (g, { output: y }) => [neg(mul(g, mul(y, y)))]);
// d tanh x/dx = 1 − tanh² x
export const tanh: Op<One> = unary('Tanh', (g, { output: y }) => [mul(g, sub(1, mul(y, y)))]);
// d σ(x)/dx = σ(x) (1 − σ(x))
export const sigmoid: Op<One> = unary('Sigmoid', (g, { output: y }) => [mul(g, mul(y, sub(1, y)))]);
// d erf(x)/dx = 2/√π · exp(−x²)
export const erf: Op<One> = unary('Erf', (g, { inputs: [x] }) => [
  mul(g, mul(exp(neg(mul(x, x))), 2 / Math.sqrt(Math.PI))),
]);
export const relu: Op<One> = unary('Relu', (g, { output: y }) => [mul(g, cast(greater(y, 0), { to: y.dtype }))]);
/** x Φ(x) in one pass of ONNX Runtime's own kernel; float32 only. */
export const fusedGelu: Op<One> = unary('Gelu', (g, { inputs: [x] }) => [mul(g, geluSlope(x))], 'com.microsoft');

/** d x Φ(x)/dx = Φ(x) + x φ(x). */
function geluSlope(x: Tensor): Tensor {
  const normalCdf = add(mul(erf(mul(x, Math.SQRT1_2)), 0.5), 0.5);
  const density = mul(exp(mul(mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
  return add(normalCdf, mul(x, density));
}

export const equal: BinaryOp = comparison('Equal');
export const greater: BinaryOp = comparison('Greater');
export const greaterOrEqual: BinaryOp = comparison('GreaterOrEqual');
export const less: BinaryOp = comparison('Less');
export const lessOrEqual: BinaryOp = comparison('LessOrEqual');
export const and: Op<Pair> = defineOp('And', { infer: both, vjp: () => [null, null] });
export const or: Op<Pair> = defineOp('Or', { infer: both, vjp: () => [null, null] });
export const not: Op<One> = defineOp('Not', { infer: same, vjp: () => [null] });

export const cast: Op<One, { to: DType }> = defineOp('Cast', {
  infer: ([x], { to }) => ({ dtype: to, shape: x.shape }),
  vjp: (g, { inputs: [x] }) => [isFloat(x.dtype) ? cast(g, { to: x.dtype }) : null],
  encode: (_, { to }) => ({ attributes: { to: dtypes[to].onnx } }),
});

/** condition ? a : b, broadcast. */
const select: Op<[condition: Tensor, a: Tensor, b: Tensor]> = defineOp('Where', {
  infer: ([condition, a, b]) => {
    if (condition.dtype !== 'bool') throw new ShapeError(`the condition must be bool, got ${condition.dtype}`);
    return { dtype: a.dtype, shape: broadcast(condition.shape, both([a, b]).shape) };
  },
  vjp: (g, { inputs: [condition] }) => [null, where(condition, g, 0), where(condition, 0, g)],
});
export const where = operator((condition: Tensor, a: Operand, b: Operand): Tensor => {
  const like = typeof a === 'number' ? b : a;
  if (typeof like === 'number') throw new TypeError('where: one branch must be a tensor');
  const lift = (x: Operand) => (typeof x === 'number' ? numbers(x, like.dtype) : x);
  return select(condition, lift(a), lift(b));
});

/** The same numbers, without a gradient. */
export const stopGradient: Op<One> = defineOp('Identity', { infer: same, vjp: () => [null] });
