/**
 * Pairs of names for the same tensor. A `#` stands for any text (a layer's number, `weight` or `bias`, the rest of the
 * name) and is carried over in order; the first pair that fits decides, in both directions.
 */
export type NameTable = readonly (readonly [first: string, second: string])[];

/** A function from the names of one column to those of the other; undefined for a name that no pair fits. */
export type Renamer = (name: string) => string | undefined;

export const toFirst = (table: NameTable): Renamer => renamer(table.map(([first, second]) => [second, first]));
export const toSecond = (table: NameTable): Renamer => renamer(table);

function renamer(pairs: NameTable): Renamer {
  const rules = pairs.map(([from, to]) => ({ pattern: patternOf(from), to }));
  return (name) => {
    for (const { pattern, to } of rules) {
      const parts = pattern.exec(name)?.slice(1);
      if (parts !== undefined) return to.replaceAll('#', () => parts.shift() ?? '');
    }
    return undefined;
  };
}

const patternOf = (name: string): RegExp => new RegExp(`^${name.replaceAll('.', '\\.').replaceAll('#', '(.+)')}$`);
