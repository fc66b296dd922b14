import { add, concat, differentiate, fixed, mul, reduceSum, type Tensor } from '../graph/index.ts';
import { embedText, type ImageMemory, imageMemory, type LayerCache, type QFormerContext } from '../models/index.ts';
import type { Params } from '../nn/index.ts';
import type { Blip2Config } from './config.ts';
import { itcLoss } from './objectives/itc.ts';
import { captionLogits, itgLoss } from './objectives/itg.ts';
import { itmLoss } from './objectives/itm.ts';
import { queryCosine } from './retrieval-head.ts';
import {
  accuracy,
  drawNegatives,
  matchTriples,
  ownPairs,
  readAndWrite,
  type StageOneBatch,
  type StageOneFigure,
  type StageOneLosses,
  type StageOneOptions,
  weightedSum,
} from './stage-one.ts';

/*
 * A step of stage 1 on a batch that does not fit in memory, part by part, with the gradients of the whole: ITC compares
 * every image with every text, and ITM draws its negatives from all of them. Three graphs, after Gao et al. 2021
 * (arXiv:2101.06983): the features of each part; ITC on the features of all, with their gradients; each part again, with
 * these gradients in the place of ITC.
 */

/** The features that ITC compares: [B, Q, E] and [B, E]. */
export interface Features {
  readonly zImage: Tensor;
  readonly zText: Tensor;
}

type PartBatch = Pick<StageOneBatch, 'imageEmbeds' | 'inputIds' | 'attentionMask'>;

/** First: the features of one part. */
export function featuresOfPart(p: Params, batch: PartBatch, config: Blip2Config, options: StageOneOptions): Features {
  const image = imageMemory(p.at('qformer'), batch.imageEmbeds, contextOf(config, options));
  const { zImage, zText } = readAndWrite(p, { ...batch, image }, { config, options });
  return { zImage, zText };
}

export interface Contrast {
  readonly itc: Tensor;
  /** Gradients of ITC, weighted, with respect to the features and the temperature. */
  readonly dImage: Tensor;
  readonly dText: Tensor;
  readonly dTemperature: Tensor;
  /** int64 [N]: of each image, the false text; of each text, the false image. */
  readonly negativeText: Tensor;
  readonly negativeImage: Tensor;
}

/** Second: ITC over the features of the whole batch, and ITM's negatives. */
export function contrastWhole(
  p: Params,
  batch: Features & Pick<StageOneBatch, 'positives' | 'negatives' | 'gumbelText' | 'gumbelImage' | 'hardness'>,
  { labelSmoothing = 0.1, gatherGradient = true, weights = {} }: StageOneOptions,
): Contrast {
  const { zImage, zText, negatives } = batch;
  const temperature = p.tensor('temp', []);
  const { loss: itc, similarities } = itcLoss(
    { zImage, zText, temperature, positives: batch.positives ?? ownPairs(negatives), negatives },
    { labelSmoothing, gatherGradient },
  );
  const [dImage, dText, dTemperature] = differentiate(mul(itc, weights.itc ?? 1), [zImage, zText, temperature]);
  const all = fixed(zText.shape[0], 'the batch');
  return {
    itc,
    dImage: dImage!,
    dText: dText!,
    dTemperature: dTemperature!,
    ...drawNegatives(similarities, batch, all),
  };
}

/** A part with the false images and texts of its pairs, and what ITC says of its features. */
export interface StageOnePart extends PartBatch {
  /** Of the false image of each text, [B, P, Dv]. */
  readonly negativeEmbeds: Tensor;
  /** The false text of each image, int64 [B, T] and its mask. */
  readonly negativeIds: Tensor;
  readonly negativeMask: Tensor;
  readonly dImage: Tensor;
  readonly dText: Tensor;
  /** The part's share of the whole batch's pairs, and of the tokens that ITG writes: scalars. */
  readonly pairShare: Tensor;
  readonly tokenShare: Tensor;
}

/** What a part tells of itself: ITC is the whole batch's. */
export type FigureOfPart = Exclude<StageOneFigure, 'itc'>;

/** Third: a part's losses. The gradients of `loss`, added up over all parts, are those of the whole batch's. */
export function lossesOfPart(
  p: Params,
  part: StageOnePart,
  config: Blip2Config,
  options: StageOneOptions,
): Pick<StageOneLosses, 'loss' | FigureOfPart> {
  const { labelSmoothing = 0.1, weights = {} } = options;
  const context = contextOf(config, options);
  const pairs = fixed(part.inputIds.shape[0], 'the batch');
  const root = p.at('qformer');
  const own = imageMemory(root, part.imageEmbeds, context);
  const { zImage, zText, caption, written, text } = readAndWrite(p, { ...part, image: own }, { config, options });
  const itc = add(sum(mul(zImage, part.dImage)), sum(mul(zText, part.dText)));

  const falseText = embedText(root, part.negativeIds, {
    config: config.qformer_config,
    embeddings: p.at('embeddings'),
  });
  const itmLogits = matchTriples(
    p,
    {
      image: together(own, imageMemory(root, part.negativeEmbeds, context)),
      text: concat([text, text, falseText], { axis: 0 }),
      attentionMask: concat([part.attentionMask, part.attentionMask, part.negativeMask], { axis: 0 }),
    },
    config,
    context,
  );
  const itm = itmLoss(itmLogits, pairs);
  const itg = itgLoss(captionLogits(p, caption, config.qformer_config), written.labels, labelSmoothing);

  const shares = [itc, mul(itm, part.pairShare), mul(itg, part.tokenShare)];
  const loss = weightedSum(shares, [1, weights.itm ?? 1, weights.itg ?? 1]);
  return { loss, itm, itg, itmAccuracy: accuracy(itmLogits, pairs), queryCosine: queryCosine(zImage) };
}

const contextOf = ({ qformer_config: config }: Blip2Config, { dropout }: StageOneOptions): QFormerContext => ({
  config,
  dropout,
});

const sum = (x: Tensor): Tensor => reduceSum(x, { axes: [...x.shape.keys()], keepDims: false });

/** An image's own keys and values, those of the false images, and its own again: the images of ITM's triples. */
const together = (own: ImageMemory, other: ImageMemory): ImageMemory =>
  own.map((mine, i) => {
    const theirs = other[i];
    if (!mine || !theirs) return undefined;
    const join = (part: keyof LayerCache) => concat([mine[part], theirs[part], mine[part]], { axis: 0 });
    return { key: join('key'), value: join('value') };
  });
