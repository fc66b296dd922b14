import { blockOf } from './pack.ts';

/** What a model is computed with: floats; linear layers in int8; those of the language model in int4, others in int8. */
export const precisions = ['fp32', 'int8', 'int4'] as const;
export type Precision = (typeof precisions)[number];

/**
 * How a linear layer's weight is kept: int8 with a scale for each channel, or for each block of a channel; int4 in blocks.
 * Products with blocks round their rows to 8 bits in blocks, too. `int8_columns` is kept beside blocks, for many rows: the
 * bytes of `int8`, and each row rounded to 8 bits as a whole.
 */
export type Format = 'int8' | 'int8_blocks' | 'int8_columns' | 'int4';

/** The formats that a layer in int8 is kept in instead where its rows can be rounded. */
export type RowFormat = Extract<Format, `int8_${string}`>;

/** A linear layer's weight [out, width] by its name in the state dict. */
export interface LinearWeight {
  readonly name: string;
  readonly out: number;
  readonly width: number;
}

/** Heads of a few thousand weights whose small differences decide a ranking, and the one that speaks to the decoder. */
const kept = /^(itm_head|vision_projection|text_projection|language_projection)\./;

/** From so many weights on, reading them is what a language model's step takes its time for: 4 MB in int8. */
const large = 2 ** 22;

/**
 * Whether a layer of a language model has so many weights, in rows that can be cut into blocks. In int8 it is then kept in
 * blocks, which are read a third faster, if its rows can be rounded so.
 */
export const isStreamed = ({ name, out, width }: LinearWeight, largeFrom = large): boolean =>
  name.startsWith('language_model.') && out * width >= largeFrom && blockOf(width) !== undefined;

/**
 * How a linear layer may be kept at a precision, smallest first; none leaves it as it is. Four bits are for the large layers
 * in a language model's blocks (`largeFrom` weights and more): smaller ones gain no time, and models of such are too coarse
 * then. Embeddings are no linear layers: they stay, while a head that is tied to one is kept twice, because it is read
 * whole for every token; whatever it rounds goes straight to the logits, so that it has eight bits.
 */
export function formatsOf(
  layer: LinearWeight,
  precision: Precision,
  largeFrom?: number,
): readonly Exclude<Format, RowFormat>[] {
  const { name } = layer;
  if (precision === 'fp32' || kept.test(name)) return [];
  const inFourBits = precision === 'int4' && /\.\d+\./.test(name) && isStreamed(layer, largeFrom);
  return inFourBits ? ['int4', 'int8'] : ['int8'];
}

/** The largest `roundingError` with which a layer is kept so: one that outliers make worse takes the next format, or stays. */
export const tolerated = { int8: 0.02, int4: 0.15 } as const;

/** How far rounding its rows may move a layer's output. Normal numbers move it by 0.6 %, outliers by more. */
export const toleratedRows = 0.01;

/** From so many weights on, an image encoder's time is in its products. */
const multiplied = 2 ** 20;

/**
 * Whether an int8 layer reads its rows in 16 bits: all but the large ones of image encoders, which have hundreds of rows
 * and would take twice the time. Measured on DINOv2-S: one rounding to 8 bits moves its features by 2 %, and every
 * seventh caption with them; with 16 bits it is 0.01 %.
 */
export const isPrecise = ({ name, out, width }: LinearWeight): boolean =>
  out * width < multiplied || !name.startsWith('vision_model.');
