import type { Dim } from '../core/index.ts';
import {
  add,
  div,
  fixed,
  gemm,
  mul,
  numbers,
  reduceMax,
  reduceMean,
  reduceSum,
  reshape,
  slice,
  sqrt,
  squeeze,
  sub,
  type Tensor,
} from '../graph/index.ts';
import { linear, type Params } from '../nn/index.ts';

/** What retrieval needs of stage 1 (§3.2): projections to a shared space, and the matching head. */

/** x / ‖x‖ over the last axis. */
export function normalize(x: Tensor): Tensor {
  const norm = sqrt(reduceSum(mul(x, x), { axes: [x.shape.length - 1], keepDims: true }));
  return div(x, add(norm, 1e-12));
}

/** zImage [B, Q, E]: each query's output [B, Q, D] in the shared space, of length 1. */
export const projectImage = (p: Params, queries: Tensor, width: number): Tensor =>
  normalize(linear(p.at('vision_projection'), queries, width));

/**
 * How alike an image's queries are: the mean cosine of two of them, a scalar, of zImage [B, Q, E]. At 1 they are worth
 * one query, which small Q-Formers become that are contrasted from the first step (docs/pocket.md).
 */
export function queryCosine(zImage: Tensor): Tensor {
  const queries = fixed(zImage.shape[1], 'the number of queries');
  if (queries === 1) return numbers(1, zImage.dtype);
  const total = reduceSum(zImage, { axes: [1], keepDims: false }); // its square: Q, and every cosine twice
  const squares = reduceMean(reduceSum(mul(total, total), { axes: [1], keepDims: false }), {
    axes: [0],
    keepDims: false,
  });
  return mul(sub(squares, queries), 1 / (queries * (queries - 1)));
}

/** Every token of a text [.., D] in the shared space [.., E], of length 1. */
export const projectTokens = (p: Params, text: Tensor, width: number): Tensor =>
  normalize(linear(p.at('text_projection'), text, width));

/** zText [B, E]: the text's [CLS] in the shared space; text [B, T, D]. */
export const projectText = (p: Params, text: Tensor, width: number): Tensor =>
  projectTokens(p, squeeze(slice(text, { axis: 1, end: 1 }), { axis: 1 }), width);

/** Cosine of every image with every text, an image's being its best query's: [images, texts] (§3.2, ITC). */
export function bestQuerySimilarity(zImage: Tensor, zText: Tensor): Tensor {
  const [images, queries, width] = zImage.shape as [Dim, Dim, Dim];
  const [texts] = zText.shape as [Dim];
  const rows = fixed(images, 'the number of images') * fixed(queries, 'the number of queries');
  const all = gemm(reshape(zImage, { shape: [rows, width] }), zText, undefined, { transB: true }); // [images·Q, texts]
  return reduceMax(reshape(all, { shape: [images, queries, texts] }), { axes: [1], keepDims: false });
}

/** Logits [N, 2] of "no match, match": the head on every query [N, Q, D], averaged over the queries (§3.2, ITM). */
export const matchLogits = (p: Params, queries: Tensor): Tensor =>
  reduceMean(matchLogitsByQuery(p, queries), { axes: [1], keepDims: false });

/** The same before the average: [N, Q, 2]. */
export const matchLogitsByQuery = (p: Params, queries: Tensor): Tensor => linear(p.at('itm_head'), queries, 2);
