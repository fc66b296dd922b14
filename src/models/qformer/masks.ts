import type { Dim, DType } from '../../core/index.ts';
import { cast, concat, expand, lessOrEqual, mul, numbers, reshape, sub, type Tensor } from '../../graph/index.ts';
import { range } from '../decoder/index.ts';

/**
 * What each part of the Q-Former's sequence may see, as blocks of a mask: the paper's figure 2 (right). A row attends
 * to the columns marked 1; `padding` and `causal` are told apart inside a block of text.
 */

/** 0, 1, or [.., rows, columns] of both: what the rows of one part see of the columns of another. */
type Visibility = 0 | 1 | Tensor;

/** A part of the sequence: its length. */
type Part = { length: Dim };

/** What text may see of text: `padding` [B, 1, T] marks tokens that are there; `causal` [1, T, T] is the lower triangle. */
export interface TextVisibility {
  readonly padding: Tensor;
  readonly causal: Tensor;
}

/** attentionMask int64 [B, T] as the two ways in which text sees text. */
export function textVisibility(attentionMask: Tensor, dtype: DType): TextVisibility {
  const [batch, length] = attentionMask.shape as [Dim, Dim];
  const along = (shape: Dim[]) => reshape(range(length), { shape });
  return {
    padding: reshape(cast(attentionMask, { to: dtype }), { shape: [batch, 1, length] }),
    causal: cast(lessOrEqual(along([1, 1, length]), along([1, length, 1])), { to: dtype }),
  };
}

/** The additive mask [B, 1, S, S] of a grid of blocks: 0 where a row sees a column, −10,000 where not (as the reference). */
export function grid(
  batch: Dim,
  parts: readonly Part[],
  rows: readonly (readonly Visibility[])[],
  dtype: DType,
): Tensor {
  const block = (v: Visibility, r: Dim, c: Dim) =>
    expand(typeof v === 'number' ? numbers(v, dtype) : v, { shape: [batch, r, c] });
  const visible = concat(
    rows.map((row, i) =>
      concat(
        row.map((v, j) => block(v, parts[i]!.length, parts[j]!.length)),
        { axis: 2 },
      ),
    ),
    { axis: 1 },
  );
  const [b, s] = visible.shape as [Dim, Dim];
  return reshape(mul(sub(visible, 1), 10_000), { shape: [b, 1, s, s] });
}

export interface Masked {
  readonly queries: number;
  readonly text: TextVisibility;
}
const shapeOf = ({ queries, text }: Masked) => {
  const [batch, , length] = text.padding.shape as [Dim, Dim, Dim];
  return { batch, parts: [{ length: queries }, { length }], dtype: text.padding.dtype };
};
const mask = (m: Masked, rows: Visibility[][]): Tensor => {
  const { batch, parts, dtype } = shapeOf(m);
  return grid(batch, parts, rows, dtype);
};

// biome-ignore-start format: the blocks are drawn as in the paper's figure 2
//                                                      queries  text
/** ITC: queries and text do not see each other. */
export const unimodal = (m: Masked): Tensor =>
  mask(m, [
    [1, 0], // queries
    [0, m.text.padding],
  ]); // text
/** ITG: queries see themselves; text sees the queries and its own past. */
export const multimodalCausal = (m: Masked): Tensor =>
  mask(m, [
    [1, 0], // queries
    [1, mul(m.text.causal, m.text.padding)],
  ]); // text
/** ITM: everyone sees everyone. */
export const bidirectional = (m: Masked): Tensor =>
  mask(m, [
    [1, m.text.padding], // queries
    [1, m.text.padding],
  ]); // text

/**
 * ITC and ITG in one sequence [queries, ITC text, ITG text]: the queries see no text in either, so they are the same
 * numbers in both, and one pass of the queries serves both losses.
 */
export function unimodalAndCausal(queries: number, contrast: TextVisibility, caption: TextVisibility): Tensor {
  const [batch, , length] = contrast.padding.shape as [Dim, Dim, Dim];
  const [, , written] = caption.padding.shape as [Dim, Dim, Dim];
  return grid(
    batch,
    [{ length: queries }, { length }, { length: written }],
    //queries  ITC text           ITG text
    [
      [1, 0, 0], // queries
      [0, contrast.padding, 0], // ITC text
      [1, 0, mul(caption.causal, caption.padding)],
    ], // ITG text
    contrast.padding.dtype,
  );
}
// biome-ignore-end format: the blocks are drawn as in the paper's figure 2
