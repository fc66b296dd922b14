/** Plain arrays in float64: the formulas that operators are compared with, written index by index. */

export interface NdArray {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

export type Index = readonly number[];

/** The array whose entry at each index is `at(index)`. */
export function build(shape: readonly number[], at: (index: Index) => number): NdArray {
  const data: number[] = [];
  const walk = (index: Index): void => {
    if (index.length === shape.length) data.push(at(index));
    else for (let i = 0; i < shape[index.length]!; i++) walk([...index, i]);
  };
  walk([]);
  return { shape, data };
}

/** The entry at `index`, broadcast: missing leading axes and axes of length 1 are read at 0. */
export function get(x: NdArray, index: Index): number {
  const lead = index.length - x.shape.length;
  let flat = 0;
  x.shape.forEach((d, i) => {
    flat = flat * d + (d === 1 ? 0 : index[i + lead]!);
  });
  return x.data[flat]!;
}

function broadcast(shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, i) => {
    const sizes = shapes.map((shape) => shape[shape.length - rank + i] ?? 1);
    return sizes.find((d) => d !== 1) ?? 1;
  });
}

/** f over arrays that are broadcast together. */
export const map = (f: (...xs: number[]) => number, ...arrays: NdArray[]): NdArray =>
  build(broadcast(arrays.map((x) => x.shape)), (index) => f(...arrays.map((x) => get(x, index))));

/** `size` entries from `start` on along one axis. */
export const cut = (x: NdArray, axis: number, [start, size]: readonly [number, number]): NdArray =>
  build(x.shape.with(axis, size), (index) => get(x, index.with(axis, index[axis]! + start)));

/** Arrays one after the other along `axis`. */
export function joined(parts: readonly NdArray[], axis: number): NdArray {
  const entries = parts.flatMap((part) => Array.from({ length: part.shape[axis]! }, (_, i) => ({ part, i })));
  return build(parts[0]!.shape.with(axis, entries.length), (index) => {
    const { part, i } = entries[index[axis]!]!;
    return get(part, index.with(axis, i));
  });
}

/** Each update added to the entry of x that `target` says. */
export function scattered(x: NdArray, updates: NdArray, target: (index: Index) => Index): NdArray {
  const sums = new Map<string, number>();
  build(updates.shape, (index) => {
    const key = target(index).join();
    sums.set(key, (sums.get(key) ?? 0) + get(updates, index));
    return 0;
  });
  return build(x.shape, (index) => get(x, index) + (sums.get(index.join()) ?? 0));
}

/** Every entry of the result is `f` of the entries along the reduced axes. */
export function reduce(
  x: NdArray,
  { axes, keepDims = false }: { axes: readonly number[]; keepDims?: boolean },
  f: (entries: readonly number[]) => number,
): NdArray {
  const groups = new Map<string, number[]>();
  let position = 0;
  build(x.shape, (index) => {
    const key = index.map((i, axis) => (axes.includes(axis) ? 0 : i)).join();
    const group = groups.get(key) ?? [];
    group.push(x.data[position++]!);
    groups.set(key, group);
    return 0;
  });
  const shape = keepDims
    ? x.shape.map((d, axis) => (axes.includes(axis) ? 1 : d))
    : x.shape.filter((_, axis) => !axes.includes(axis));
  return { shape, data: [...groups.values()].map(f) };
}

/** Every vector along `axis` replaced by `f` of it. */
export function along(x: NdArray, axis: number, f: (vector: readonly number[]) => readonly number[]): NdArray {
  const rows = new Map<string, readonly number[]>();
  return build(x.shape, (index) => {
    const key = index.with(axis, 0).join();
    const row = rows.get(key) ?? f(Array.from({ length: x.shape[axis]! }, (_, i) => get(x, index.with(axis, i))));
    rows.set(key, row);
    return row[index[axis]!]!;
  });
}

export const transposed = (x: NdArray, perm: readonly number[]): NdArray =>
  build(
    perm.map((p) => x.shape[p]!),
    (index) =>
      get(
        x,
        perm.reduce<number[]>((source, p, i) => source.with(p, index[i]!), [...index]),
      ),
  );

export const swapped = (x: NdArray): NdArray => {
  const axes = [...x.shape.keys()];
  return transposed(x, [...axes.slice(0, -2), axes.at(-1)!, axes.at(-2)!]);
};

/** a b, batched over leading axes. */
export function product(a: NdArray, b: NdArray): NdArray {
  const [n, k] = a.shape.slice(-2) as [number, number];
  const batch = broadcast([a.shape.slice(0, -2), b.shape.slice(0, -2)]);
  return build([...batch, n, b.shape.at(-1)!], (index) => {
    const [row, column] = index.slice(-2) as [number, number];
    const lead = index.slice(0, -2);
    return total(Array.from({ length: k }, (_, i) => get(a, [...lead, row, i]) * get(b, [...lead, i, column])));
  });
}

export const total = (xs: readonly number[]): number => xs.reduce((sum, x) => sum + x, 0);
export const mean = (xs: readonly number[]): number => total(xs) / xs.length;

/** erf x by its Maclaurin series; 1e-12 for |x| < 3. */
export function erf(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum) && n < 200; n++) {
    term *= -(x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

export function softmax(xs: readonly number[]): number[] {
  const largest = Math.max(...xs);
  const exps = xs.map((x) => Math.exp(x - largest));
  return exps.map((e) => e / total(exps));
}
