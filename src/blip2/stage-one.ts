import type { DType } from '../core/index.ts';
import {
  add,
  argMax,
  cast,
  concat,
  equal,
  fixed,
  gather,
  input,
  mul,
  numbers,
  reduceMean,
  slice,
  split,
  type Tensor,
} from '../graph/index.ts';
import {
  bidirectional,
  embedQueries,
  embedText,
  embedWords,
  gatherMemory,
  type Hidden,
  type ImageMemory,
  imageMemory,
  multimodalCausal,
  placeWords,
  type QFormerContext,
  qFormer,
  textVisibility,
  unimodalAndCausal,
} from '../models/index.ts';
import type { Dropout, Params } from '../nn/index.ts';
import type { Blip2Config } from './config.ts';
import { itcLoss, type Similarities, swap } from './objectives/itc.ts';
import { captionLogits, itgLoss, startWithDec, type Written } from './objectives/itg.ts';
import { drawNegative, itmLoss } from './objectives/itm.ts';
import { queryTokens } from './passes.ts';
import { matchLogits, projectImage, projectText, queryCosine } from './retrieval-head.ts';

/** A training batch of stage 1: frozen image features and tokenised captions, padded to one length. */
export interface StageOneBatch {
  /** [B, P, Dv] */
  readonly imageEmbeds: Tensor;
  /** int64 [B, T]: [CLS] … [SEP] */
  readonly inputIds: Tensor;
  readonly attentionMask: Tensor;
  /** [B, B]: 1 where image i and text j are no pair; ITM draws from these. */
  readonly negatives: Tensor;
  /** [B, B]: 1 where they are one, for ITC. Default: each image and its own text. */
  readonly positives?: Tensor;
  /** Noise and hardness of ITM's negatives: [B, B] twice, and a scalar in 0…1. */
  readonly gumbelText: Tensor;
  readonly gumbelImage: Tensor;
  readonly hardness: Tensor;
}

/** The inputs of a stage-1 graph, by name. */
export function stageOneInputs(d: {
  batch: number;
  patches: number;
  imageWidth: number;
  tokens: number;
  dtype?: DType;
}): StageOneBatch {
  const { batch, dtype = 'float32' } = d;
  return {
    imageEmbeds: input('imageEmbeds', dtype, [batch, d.patches, d.imageWidth]),
    inputIds: input('inputIds', 'int64', [batch, d.tokens]),
    attentionMask: input('attentionMask', 'int64', [batch, d.tokens]),
    negatives: input('negatives', dtype, [batch, batch]),
    gumbelText: input('gumbelText', dtype, [batch, batch]),
    gumbelImage: input('gumbelImage', dtype, [batch, batch]),
    hardness: input('hardness', dtype, []),
  };
}

export interface StageOneOptions {
  /** The id of [DEC], which starts a caption. */
  readonly decoderStart: number;
  /** Of ITC and ITG; the paper's 0.1 by default. */
  readonly labelSmoothing?: number;
  /** See ItcOptions. Default true: the paper's loss. */
  readonly gatherGradient?: boolean;
  /** How many of the batch's pairs ITM takes, the first ones. Default: all, as the paper. */
  readonly matchingPairs?: number;
  /** The weight of each loss in the sum; 0 leaves it out. Default 1. */
  readonly weights?: { readonly itc?: number; readonly itm?: number; readonly itg?: number };
  readonly dropout?: Dropout | undefined;
}

/** What training tells of a step besides the weighted sum. */
export type StageOneFigure = 'itc' | 'itm' | 'itg' | 'itmAccuracy' | 'queryCosine';

export interface StageOneLosses {
  /** Scalars; `loss` is the weighted sum of the three. */
  readonly loss: Tensor;
  readonly itc: Tensor;
  readonly itm: Tensor;
  readonly itg: Tensor;
  /** Share of ITM's pairs that are told right. */
  readonly itmAccuracy: Tensor;
  /** See `queryCosine`. */
  readonly queryCosine: Tensor;
  /** int64 [N]: the false text of each image, and the false image of each text. */
  readonly negativeText: Tensor;
  readonly negativeImage: Tensor;
  readonly similarities: Similarities;
  readonly itmLogits: Tensor;
  readonly itgLogits: Tensor;
}

/**
 * Stage 1 (§3.2): three objectives on one Q-Former, apart in mask and head. Two passes instead of the reference's four:
 * ITC and ITG share one, because no query sees text in either; an image's keys and values are computed once for all.
 */
export function stageOneLosses(
  p: Params,
  batch: StageOneBatch,
  config: Blip2Config,
  options: StageOneOptions,
): StageOneLosses {
  const { labelSmoothing = 0.1, gatherGradient = true, weights = {} } = options;
  const context: QFormerContext = { config: config.qformer_config, dropout: options.dropout };
  const image = imageMemory(p.at('qformer'), batch.imageEmbeds, context);
  const { zImage, zText, caption, written, text } = readAndWrite(p, { ...batch, image }, { config, options });

  // ITC. A pair scores as its best query; each image picks its text from the batch, and back.
  const { loss: itc, similarities } = itcLoss(
    {
      zImage,
      zText,
      temperature: p.tensor('temp', []),
      positives: batch.positives ?? ownPairs(batch.negatives),
      negatives: batch.negatives,
    },
    { labelSmoothing, gatherGradient },
  );

  // ITM. Hard negatives are drawn from ITC's similarities, in both directions.
  const pairs = Math.min(options.matchingPairs ?? Infinity, fixed(batch.inputIds.shape[0], 'the batch'));
  const { negativeText, negativeImage } = drawNegatives(similarities, batch, pairs);
  const own = numbers([...Array(pairs).keys()], 'int64');
  const texts = concat([own, own, negativeText], { axis: 0 });
  const triples: Triples = {
    image: gatherMemory(image, concat([own, negativeImage, own], { axis: 0 })),
    text: gather(text, texts),
    attentionMask: gather(batch.attentionMask, texts),
  };
  const itmLogits = matchTriples(p, triples, config, context);
  const itm = itmLoss(itmLogits, pairs);

  // ITG. The caption is written from the queries alone.
  const itgLogits = captionLogits(p, caption, config.qformer_config);
  const itg = itgLoss(itgLogits, written.labels, labelSmoothing);

  const loss = weightedSum([itc, itm, itg], [weights.itc ?? 1, weights.itm ?? 1, weights.itg ?? 1]);
  return {
    loss,
    itc,
    itm,
    itg,
    itmAccuracy: accuracy(itmLogits, pairs),
    queryCosine: queryCosine(zImage),
    negativeText,
    negativeImage,
    similarities,
    itmLogits,
    itgLogits,
  };
}

/**
 * What `stageOneLosses` tells where ITC and ITM weigh nothing, without computing them: the caption is the only text. For
 * queries that learn to write before they are contrasted.
 */
export function writingLosses(
  p: Params,
  { imageEmbeds, inputIds, attentionMask }: Pick<StageOneBatch, 'imageEmbeds' | 'inputIds' | 'attentionMask'>,
  config: Blip2Config,
  { labelSmoothing = 0.1, weights = {}, decoderStart, dropout }: StageOneOptions,
): Pick<StageOneLosses, 'loss' | 'itg' | 'queryCosine'> {
  const { qformer_config: c, num_query_tokens: Q, image_text_hidden_size: width } = config;
  const context: QFormerContext = { config: c, dropout };
  const root = p.at('qformer');
  const image = imageMemory(root, imageEmbeds, context);
  const written = startWithDec(inputIds, attentionMask, decoderStart);
  const rows = fixed(inputIds.shape[0], 'the batch');
  const parts = {
    queries: embedQueries(root, queryTokens(p, config), rows, context),
    text: embedText(root, written.inputIds, { ...context, embeddings: p.at('embeddings') }),
  };
  const mask = multimodalCausal({ queries: Q, text: textVisibility(written.attentionMask, p.dtype) });
  const { queries, text } = both(qFormer(root, parts, { ...context, mask, image }));
  const itg = itgLoss(captionLogits(p, text, c), written.labels, labelSmoothing);
  return {
    loss: weightedSum([itg], [weights.itg ?? 1]),
    itg,
    queryCosine: queryCosine(projectImage(p, queries, width)),
  };
}

/**
 * The text as ITC and ITM read it, then as ITG writes it: [B, T + T−1, D], embedded at once, because the gradient of one
 * look-up is as large as the table of words. Before dropout, which every use draws anew.
 */
function embedBoth(p: Params, inputIds: Tensor, writtenIds: Tensor, { config }: QFormerContext): Tensor {
  const positions = [inputIds, writtenIds].flatMap(({ shape }) => [...Array(fixed(shape[1], 'the text')).keys()]);
  const context = { config, embeddings: p.at('embeddings') };
  return placeWords(p.at('qformer'), embedWords(concat([inputIds, writtenIds], { axis: 1 }), context), {
    ...context,
    positionIds: numbers(positions, 'int64', [1, positions.length]),
  });
}

/** The shared pass of ITC and ITG, and what it makes of a batch. */
export interface ReadBatch {
  /** [B, Q, E] and [B, E], of length 1: what ITC compares. */
  readonly zImage: Tensor;
  readonly zText: Tensor;
  /** The states that write the caption, [B, T−1, D], and what they are to write. */
  readonly caption: Tensor;
  readonly written: Written;
  /** The embedded text for ITM, [B, T, D]. */
  readonly text: Tensor;
}

/** One pass over the queries, the text that is compared and the text that is written. */
export function readAndWrite(
  p: Params,
  batch: Pick<StageOneBatch, 'inputIds' | 'attentionMask'> & { readonly image: ImageMemory },
  { config, options }: { config: Blip2Config; options: Pick<StageOneOptions, 'decoderStart' | 'dropout'> },
): ReadBatch {
  const { inputIds, attentionMask, image } = batch;
  const { qformer_config: c, num_query_tokens: Q, image_text_hidden_size: width } = config;
  const context: QFormerContext = { config: c, dropout: options.dropout };
  const [B, T] = attentionMask.shape.map((d) => fixed(d, 'a dimension of a training graph')) as [number, number];
  const written = startWithDec(inputIds, attentionMask, options.decoderStart);
  const text = embedBoth(p, inputIds, written.inputIds, context);
  const root = p.at('qformer');
  const mask = unimodalAndCausal(
    Q,
    textVisibility(attentionMask, p.dtype),
    textVisibility(written.attentionMask, p.dtype),
  );
  const parts = { queries: embedQueries(root, queryTokens(p, config), B, context), text: drop(text, context) };
  const seen = both(qFormer(root, parts, { ...context, mask, image }));
  const [contrast, caption] = split(seen.text, { axis: 1, sizes: [T, T - 1] }) as [Tensor, Tensor];
  return {
    zImage: projectImage(p, seen.queries, width),
    zText: projectText(p, contrast, width),
    caption,
    written,
    text: slice(text, { axis: 1, end: T }),
  };
}

/** For each of the first `pairs` images a false text, and for each text a false image: int64 [pairs]. */
export function drawNegatives(
  { imageToText, textToImage }: Similarities,
  batch: Pick<StageOneBatch, 'negatives' | 'gumbelText' | 'gumbelImage' | 'hardness'>,
  pairs: number,
): { negativeText: Tensor; negativeImage: Tensor } {
  const { negatives, gumbelText, gumbelImage, hardness } = batch;
  const first = (x: Tensor) => (pairs === x.shape[0] ? x : slice(x, { axis: 0, end: pairs }));
  return {
    negativeImage: drawNegative(first(textToImage), {
      negatives: first(swap(negatives)),
      gumbel: first(gumbelImage),
      hardness,
    }),
    negativeText: drawNegative(first(imageToText), {
      negatives: first(negatives),
      gumbel: first(gumbelText),
      hardness,
    }),
  };
}

/** What ITM reads: N true pairs, N texts with a false image, N images with a false text. */
export interface Triples {
  readonly image: ImageMemory;
  /** Embedded, [3N, T, D], with its mask [3N, T]. */
  readonly text: Tensor;
  readonly attentionMask: Tensor;
}

/** ITM's pass: logits [3N, 2]. */
export function matchTriples(
  p: Params,
  { image, text, attentionMask }: Triples,
  config: Blip2Config,
  context: QFormerContext,
): Tensor {
  const rows = fixed(attentionMask.shape[0], 'the batch');
  const root = p.at('qformer');
  const parts = { queries: embedQueries(root, queryTokens(p, config), rows, context), text: drop(text, context) };
  const mask = bidirectional({ queries: config.num_query_tokens, text: textVisibility(attentionMask, p.dtype) });
  return matchLogits(p, both(qFormer(root, parts, { ...context, mask, image })).queries);
}

/** The identity matrix, of the shape of `like` [B, B]. */
export function ownPairs({ shape, dtype }: Tensor): Tensor {
  const batch = fixed(shape[0], 'the batch of a training graph');
  const identity = Array.from({ length: batch * batch }, (_, i) => (i % (batch + 1) === 0 ? 1 : 0));
  return numbers(identity, dtype, [batch, batch]);
}

const drop = (x: Tensor, { dropout }: QFormerContext): Tensor => (dropout ? dropout(x) : x);

function both({ queries, text }: Hidden): { queries: Tensor; text: Tensor } {
  if (!queries || !text) throw new TypeError('a pass over queries and text returns both');
  return { queries, text };
}

export function accuracy(logits: Tensor, pairs: number): Tensor {
  const labels = numbers(
    Array.from({ length: 3 * pairs }, (_, i) => (i < pairs ? 1 : 0)),
    'int64',
  );
  const right = cast(equal(argMax(logits, { axis: 1 }), labels), { to: 'float32' });
  return reduceMean(right, { axes: [0], keepDims: false });
}

export function weightedSum(losses: readonly Tensor[], weights: readonly number[]): Tensor {
  const terms = losses.flatMap((loss, i) =>
    weights[i] === 0 ? [] : [weights[i] === 1 ? loss : mul(loss, weights[i]!)],
  );
  return terms.reduce((a, b) => add(a, b));
}
