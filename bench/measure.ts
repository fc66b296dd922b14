/** One result: a line of JSON. `ratio` above 1 says that ours is better. */
export interface Row {
  readonly name: string;
  readonly ours: number;
  readonly peer: number;
  readonly ratio: number;
  readonly unit: string;
  /** Smallest and largest measurement. */
  readonly oursSpread?: Spread;
  readonly peerSpread?: Spread;
}
type Spread = readonly [number, number];

/** What `npm run bench -- NAME` runs. */
export interface Claim {
  readonly description: string;
  run(): AsyncIterable<Row>;
}

/**
 * Measures ours and the peer in turn, so that whatever else the machine does meets both. The first round warms up and
 * does not count. Returns medians of what the two functions return (less is better).
 */
export async function compare(
  { name, unit, rounds }: { name: string; unit: string; rounds: number },
  ours: () => Promise<number>,
  peer: () => Promise<number>,
): Promise<Row> {
  const measured: { ours: number[]; peer: number[] } = { ours: [], peer: [] };
  for (let round = 0; round <= rounds; round++) {
    const results = { ours: await ours(), peer: await peer() };
    if (round === 0) continue;
    measured.ours.push(results.ours);
    measured.peer.push(results.peer);
  }
  return compared({ name, unit }, measured.ours, measured.peer);
}

/** A row of the medians of measurements of which the smaller wins, with their spreads. */
export const compared = (
  what: { name: string; unit: string },
  ours: readonly number[],
  peer: readonly number[],
): Row => ({
  ...lessIsBetter(what, median(ours), median(peer)),
  oursSpread: spread(ours),
  peerSpread: spread(peer),
});

/** A row of two numbers of which the smaller wins. */
export const lessIsBetter = (what: { name: string; unit: string }, ours: number, peer: number): Row => ({
  ...what,
  ours: rounded(ours),
  peer: rounded(peer),
  ratio: rounded(peer / ours),
});

/** Seconds that `run` takes. */
export async function seconds(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return (performance.now() - start) / 1000;
}

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle) - 1]!) / 2;
}

const spread = (numbers: readonly number[]): Spread => [rounded(Math.min(...numbers)), rounded(Math.max(...numbers))];

const rounded = (x: number): number => Number(x.toPrecision(4));
