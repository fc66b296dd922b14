/** The words of a tokenised caption. */
export const wordsOf = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '');

/** How often each n-gram, its words joined by blanks, occurs. */
export function nGramCounts(words: readonly string[], n: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + n <= words.length; i++) {
    const gram = words.slice(i, i + n).join(' ');
    counts.set(gram, (counts.get(gram) ?? 0) + 1);
  }
  return counts;
}
