/** A number as people read it: four significant digits, a power of ten where there would be many zeros. */
export function figure(x: number): string {
  if (Number.isInteger(x) && Math.abs(x) < 1e6) return String(x);
  const short = Number(x.toPrecision(4));
  return Math.abs(x) >= 1e6 || Math.abs(x) < 1e-3 ? short.toExponential() : String(short);
}
