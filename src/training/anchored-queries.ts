import { floats, toFloat32, UsageError, type Value } from '../core/index.ts';
import { crossAttentionLayers } from '../models/index.ts';
import { leastSquares, rowsOf } from './least-squares.ts';
import { type QueriesOnPictures, readStates } from './queries-on-pictures.ts';

/**
 * Queries that begin by looking at a place each. A Q-Former's queries all look at the whole picture, and from there
 * neither ITC nor ITM nor ITG gets them apart in the steps that a small run has: nothing then says which of two things stands
 * where. An image encoder's features tell where they come from, as a linear function nearly; so half of the heads of each
 * cross-attention can be set, by least squares, to weigh the image by a Gaussian around a place of the query's own. What
 * these heads read there, and all other weights, stay as they were. docs/findings.md has what it brings.
 */

/** What is anchored, and on what: features whose last P − prefixTokens are of a square picture, row by row. */
export interface AnchorInputs extends QueriesOnPictures {
  readonly prefixTokens: number;
}

/** How far a query sees, as a share of the distance to the next query's place. */
const reach = 0.7;
/** What least squares add to the diagonal, in the mean of it: features say a place with noise, a query is known exactly. */
const keyFit = { damping: 1e-3, rowsEach: 20 };
const queryFit = { damping: 1e-6, rowsEach: 20 };
/** Where class tokens are put: outside, so that no anchored head looks at them. */
const outside = 3;

/** `trained` with anchored queries. Throws UsageError where patches are no square, or heads too narrow for a place. */
export async function anchorQueries(inputs: AnchorInputs): Promise<ReadonlyMap<string, Value>> {
  const { config, features } = inputs;
  const { num_query_tokens: queries, qformer_config: c } = config;
  const width = c.hidden_size / c.num_attention_heads;
  if (width < 3) throw new UsageError(`run.anchor_queries: expected heads of 3 at least, found a width of ${width}`);
  const spread = (reach * 2) / Math.sqrt(queries);
  // The logit of a place at p for a query at a: −|p − a|² / 2σ², but for what is the same for every place.
  const places = placesOf(inputs);
  const sought = anchors(queries).map(([x, y]) => [x, y, -0.5]);
  const scale = Math.sqrt(Math.sqrt(width) / spread ** 2);
  const key = leastSquares(rowsOf(features), (row) => places[row % places.length]!, keyFit);

  const anchored = new Map(inputs.trained);
  for (const [index, layer] of crossAttentionLayers(c).entries()) {
    const asked = await readStates({ ...inputs, trained: anchored }, (pass) => pass.crossAttention[index]!.asking);
    const asking = rowsOf(asked);
    const query = leastSquares(asking, (row) => sought[row % queries]!, queryFit);
    for (const [part, map] of Object.entries({ key, query })) {
      const name = `qformer.encoder.layer.${layer}.crossattention.attention.${part}`;
      for (const kind of ['weight', 'bias'] as const) {
        const full = `${name}.${kind}`;
        anchored.set(full, inHeads(anchored.get(full)!, map[kind], { heads: c.num_attention_heads, width, scale }));
      }
    }
  }
  return anchored;
}

/** The middle of part i of so many equal ones, from the picture's one edge at -1 to its other at 1. */
const middle = (i: number, parts: number): number => (2 * i + 1) / parts - 1;

/** x, y and x² + y² of each image token, the picture's middle at 0 and its edges at ±1. */
function placesOf({ features, prefixTokens }: AnchorInputs): number[][] {
  const patches = features.shape[1]! - prefixTokens;
  const side = Math.sqrt(patches);
  if (!Number.isInteger(side)) {
    throw new UsageError(`run.anchor_queries: expected patches of a square picture, found ${patches}`);
  }
  const grid = Array.from({ length: patches }, (_, i) => {
    const [x, y] = [middle(i % side, side), middle(Math.floor(i / side), side)];
    return [x, y, x * x + y * y];
  });
  return [...Array.from({ length: prefixTokens }, () => [0, 0, outside]), ...grid];
}

/** A place [x, y] for each query, in rows of about as many as there are rows. */
function anchors(queries: number): [number, number][] {
  const rows = Math.round(Math.sqrt(queries));
  return Array.from({ length: rows }, (_, row) => {
    const count = Math.floor(((row + 1) * queries) / rows) - Math.floor((row * queries) / rows);
    return Array.from({ length: count }, (__, i): [number, number] => [middle(i, count), middle(row, rows)]);
  }).flat();
}

/** A linear layer's weight [D, in] or bias [D] with `map` in the first rows of the first half of its heads, and 0 below. */
function inHeads(
  value: Value,
  map: readonly (readonly number[])[],
  { heads, width, scale }: { heads: number; width: number; scale: number },
): Value {
  const data = toFloat32(value).slice();
  const columns = data.length / (heads * width);
  for (let head = 0; head < Math.floor(heads / 2); head++) {
    const start = head * width * columns;
    data.fill(0, start, start + width * columns);
    data.set(
      map.flat().map((w) => scale * w),
      start,
    );
  }
  return floats([...value.shape], data);
}
