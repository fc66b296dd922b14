import { UsageError, type Value } from '../core/index.ts';
import { DecodePool, type FeatureCache, type ImageRecord } from '../data/index.ts';
import { dependencies, input, type Tensor } from '../graph/index.ts';
import { normalise, type RawImage } from '../image/index.ts';
import type { ImageEncoder } from '../models/index.ts';
import { Params, StochasticDepth } from '../nn/index.ts';
import type { Feeds } from '../runtime/index.ts';
import { compileEncoder, encodeImages, finishFeatures, frozenShape, pixelInput } from './image-features.ts';
import { PatchDropout } from './patch-dropout.ts';
import type { ReadEncoder } from './pretrained.ts';
import type { EncoderKeys, Recipe } from './recipe.ts';
import { withPositionsFor } from './resize-positions.ts';
import { sessionOptions } from './steps-by-length.ts';
import { trainableWeights } from './trainable-weights.ts';

/** A record of a dataset as a step reads it. */
export interface Drawn<Item extends ImageRecord = ImageRecord> {
  readonly record: Item;
  /** Which of the recipe's datasets, which epoch, and the record's place: what its draws depend on. */
  readonly dataset: number;
  readonly epoch: number;
  readonly index: number;
  /** The place of its unit, the records that belong together: twins are said the same way. */
  readonly unit: number;
}

/** How steps see pictures: from cached features, through a frozen encoder, or through one that trains with the rest. */
export interface StepImages<Loaded = unknown> {
  /** The features [B, P, Dv] in a step's graph. */
  embeds(p: Params, batch: number): Tensor;
  /** Reads the encoder's starting values, by their full names, where it trains. */
  initial(): Promise<ReadonlyMap<string, Value>>;
  /** Reads one picture. Throws DataError where it cannot be used. */
  load(drawn: Drawn): Promise<Loaded>;
  /** What the graph is fed of a step's pictures. */
  feeds(loaded: readonly Loaded[], step: number): Promise<Feeds>;
  close(): Promise<void>;
}

/** What pictures are to a step where the encoder is frozen: an input, and what trains between it and the Q-Former. */
const frozenImages = (images: ReadEncoder): Pick<StepImages, 'embeds' | 'initial'> => ({
  embeds: (p, batch) => finishFeatures(p.at('vision_model'), featureInput(frozenShape(images), batch), images),
  async initial() {
    const p = new Params();
    finishFeatures(p, featureInput(frozenShape(images), 1), images);
    const own = [...p.declared.keys()].flatMap((name) => {
      const entry = images.state.get(name);
      return entry ? [[name, entry] as const] : [];
    });
    return withRoot(await trainableWeights(new Map(own)));
  },
});

/** Features computed before, under a key for each record. */
export function cachedImages(
  cache: FeatureCache,
  images: ReadEncoder,
  keyOf: (drawn: Drawn) => string,
): StepImages<string> {
  const { patches, width } = cache;
  return {
    ...frozenImages(images),
    load: async (drawn) => keyOf(drawn),
    async feeds(keys) {
      const size = patches * width;
      const data = new Float32Array(keys.length * size);
      for (const [i, key] of keys.entries()) cache.read(key, data, i * size);
      return { imageEmbeds: { dtype: 'float32', shape: [keys.length, patches, width], data } };
    },
    close: async () => cache.close(),
  };
}

/** Pictures decoded in threads, augmented by (seed, dataset, epoch, record), and encoded by a frozen encoder. */
export async function encodedImages(images: ReadEncoder, { data, run }: StepSettings): Promise<StepImages<RawImage>> {
  const pool = decoder(images, run);
  const session = await compileEncoder(images, sessionOptions(run));
  return {
    ...frozenImages(images),
    load: (drawn) => decode(pool, drawn, data.augment),
    async feeds(pictures) {
      const { features } = await session.run({ pixelValues: normalise(pictures, images.processor) });
      return { imageEmbeds: features };
    },
    async close() {
      await pool.close();
      await session.release();
    },
  };
}

/** The same pictures for an encoder that is part of the step's graph, and trains. */
export function trainedImages(images: ReadEncoder, { model, data, run }: StepSettings): StepImages<RawImage> {
  const pool = decoder(images, run);
  const { drop_path_rate } = model;
  const batchSize = run.batch_size_train;
  const depth =
    drop_path_rate > 0
      ? new StochasticDepth({ rate: drop_path_rate, blocks: blocksOf(images.encoder), batch: batchSize })
      : undefined;
  const { patch_dropout: rate } = data;
  const patches = rate > 0 ? PatchDropout.of(images, { rate, seed: run.seed, before: 'blocks' }) : undefined;
  return {
    embeds: (p, batch) =>
      encodeImages(p.at('vision_model'), pixelInput(images, batch), {
        ...images,
        leftOut: { dropPath: depth?.inGraph(), keepTokens: patches && ((t) => patches.keep(t)) },
      }),
    async initial() {
      return withRoot(await withPositionsFor(images.encoder, await trainableWeights(images.state)));
    },
    load: (drawn) => decode(pool, drawn, data.augment),
    feeds: async (pictures, step) => ({
      pixelValues: normalise(pictures, images.processor),
      ...depth?.feeds(run.seed, step),
      ...patches?.feeds(step, pictures.length),
    }),
    close: () => pool.close(),
  };
}

/** Pictures whose features a step reads in part. */
export const withPatchDropout = <Loaded>(images: StepImages<Loaded>, dropout: PatchDropout): StepImages<Loaded> => ({
  ...images,
  embeds: (p, batch) => dropout.keep(images.embeds(p, batch)),
  feeds: async (loaded, step) => ({
    ...(await images.feeds(loaded, step)),
    ...dropout.feeds(step, loaded.length),
  }),
});

/** What of a recipe says how pictures are read. */
export type StepSettings = Pick<Recipe, 'model' | 'data' | 'run'>;

/** Throws UsageError where a key of the encoder needs it to train and it does not. */
export function checkEncoderKeys({ freeze_vit, drop_path_rate }: EncoderKeys, { lr_layer_decay }: Recipe['run']): void {
  if (!freeze_vit) return;
  if (drop_path_rate > 0) throw new UsageError('model.drop_path_rate: expected 0, because model.freeze_vit is true');
  if (lr_layer_decay < 1) throw new UsageError('run.lr_layer_decay: expected 1, because model.freeze_vit is true');
}

/** An image encoder's values by their full names. */
const withRoot = (weights: ReadonlyMap<string, Value>): ReadonlyMap<string, Value> =>
  new Map([...weights].map(([name, v]) => [`vision_model.${name}`, v]));

const featureInput = ({ patches, width }: { patches: number; width: number }, batch: number): Tensor =>
  input('imageEmbeds', 'float32', [batch, patches, width]);

const decoder = ({ processor }: ReadEncoder, { seed }: Recipe['run']) => new DecodePool({ processor, seed }, 1);

const decode = (pool: DecodePool, { record, dataset, epoch, index }: Drawn, augment: boolean): Promise<RawImage> =>
  pool.load(record.image, augment ? [dataset, epoch, index] : undefined);

/** How many blocks an encoder's features depend on: a CLIP has one more than the Q-Former reads (`vision_feature_layer`). */
export function blocksOf({ encode, imageSize }: ImageEncoder): number {
  const p = new Params();
  const features = encode(p, input('pixelValues', 'float32', [1, 3, imageSize, imageSize]));
  const names = dependencies([features], p.declared);
  const numbers = names.map((name) => Number(/^encoder\.layers?\.(\d+)\./.exec(name)?.[1] ?? -1));
  return 1 + Math.max(...numbers);
}
