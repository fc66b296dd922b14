/** The shards of `x-{0000..0012}.tar`; several pairs of braces multiply. */
export function expandBraces(pattern: string): string[] {
  const [all, before, first, last, after] = /^(.*?)\{(\d+)\.\.(\d+)\}(.*)$/.exec(pattern) ?? [];
  if (all === undefined) return [pattern];
  const count = Math.max(0, Number(last) - Number(first) + 1);
  return Array.from({ length: count }, (_, i) => String(Number(first) + i).padStart(first!.length, '0')).flatMap(
    (number) => expandBraces(`${before}${number}${after}`),
  );
}
