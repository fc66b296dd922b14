/** How many numbers of a layer's states stay in a CPU's caches: 2 MB of float32. */
const cachedNumbers = 2 ** 19;

/**
 * How many items with states of so many numbers are best computed together where weights are packed for a CPU: products
 * are as fast with few rows as with many, and all between them is faster while it stays in the caches.
 */
export const cachedTogether = (numbers: number): number => Math.max(1, Math.floor(cachedNumbers / numbers));
