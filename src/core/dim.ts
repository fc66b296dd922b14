/**
 * A dimension: a number, or a symbolic one such as `batch`, `past + 1` or `2*batch*sequence`. Symbols are polynomials
 * with whole coefficients, kept as canonical text, so that two dimensions are equal exactly when `===` says so.
 */
export type Dim = number | string;
export type Shape = readonly Dim[];

/** A monomial's symbols, sorted and joined by `*` (`''` for the constant), to its coefficient. */
type Polynomial = Map<string, number>;

function parse(d: Dim): Polynomial {
  if (typeof d === 'number') return new Map(d === 0 ? [] : [['', d]]);
  const terms: Polynomial = new Map();
  for (const term of d.replaceAll(' - ', ' + -').split(' + ')) {
    let coefficient = 1;
    const symbols: string[] = [];
    for (const factor of term.trim().split('*')) {
      if (/^-?\d+$/.test(factor)) coefficient *= Number(factor);
      else if (factor.startsWith('-')) {
        coefficient *= -1;
        symbols.push(factor.slice(1));
      } else symbols.push(factor);
    }
    accumulate(terms, symbols.sort().join('*'), coefficient);
  }
  return terms;
}

function accumulate(terms: Polynomial, symbols: string, coefficient: number): void {
  const sum = (terms.get(symbols) ?? 0) + coefficient;
  if (sum === 0) terms.delete(symbols);
  else terms.set(symbols, sum);
}

function format(terms: Polynomial): Dim {
  if (terms.size === 0) return 0;
  const constant = terms.get('');
  if (terms.size === 1 && constant !== undefined) return constant;
  const sorted = [...terms].sort(([a], [b]) => (a === '' ? 1 : b === '' ? -1 : a < b ? -1 : 1));
  return sorted
    .map(([symbols, c], i) => {
      const size = symbols === '' ? `${Math.abs(c)}` : Math.abs(c) === 1 ? symbols : `${Math.abs(c)}*${symbols}`;
      return i === 0 ? (c < 0 ? `-${size}` : size) : c < 0 ? ` - ${size}` : ` + ${size}`;
    })
    .join('');
}

/** a + b. */
export function addDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  const sum = parse(a);
  for (const [symbols, c] of parse(b)) accumulate(sum, symbols, c);
  return format(sum);
}

/** a · b. */
export function mulDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a * b;
  const key = `${a} | ${b}`;
  const known = products.get(key);
  if (known !== undefined) return known;
  const product: Polynomial = new Map();
  for (const [x, c] of parse(a)) {
    for (const [y, d] of parse(b)) {
      const symbols = [...x.split('*'), ...y.split('*')].filter(Boolean).sort().join('*');
      accumulate(product, symbols, c * d);
    }
  }
  const result = format(product);
  products.set(key, result);
  return result;
}

/** A large graph multiplies thousands of symbolic dimensions, and few of them differ. */
const products = new Map<string, Dim>();

/** a − b. */
export const subDims = (a: Dim, b: Dim): Dim => addDims(a, mulDims(-1, b));

/** The number of elements of a shape. */
export const sizeOf = (shape: Shape): Dim => shape.reduce<Dim>(mulDims, 1);

/** The terms of a dimension as [coefficient, symbols], the constant's symbols being empty. */
export const termsOf = (d: Dim): [coefficient: number, symbols: string[]][] =>
  [...parse(d)].map(([symbols, c]) => [c, symbols === '' ? [] : symbols.split('*')]);

/** The dimension with its symbols replaced by numbers; an unknown symbol is left as it is. */
export function bindDim(d: Dim, values: Readonly<Record<string, number>>): Dim {
  if (typeof d === 'number') return d;
  return termsOf(d).reduce<Dim>(
    (sum, [c, symbols]) =>
      addDims(
        sum,
        symbols.reduce<Dim>((p, s) => mulDims(p, values[s] ?? s), c),
      ),
    0,
  );
}
